import ArgumentParser

@main
struct ApusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "Trains, studies and serves convolutional image networks.",
        discussion:
            "Example: apus train --data fashion-mnist --model resnet20-cifar --out runs/first",
        version: "0.1.0",
        subcommands: [VerifyCommand.self, BenchCommand.self])
}
