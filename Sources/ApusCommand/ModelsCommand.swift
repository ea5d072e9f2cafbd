import Apus
import ArgumentParser
import Foundation

struct ModelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models",
        abstract: "Lists the networks, or the layers of one and what it costs.",
        discussion: """
            The residual and plain networks for small images, -cifar, come in every depth 6n + 2 up to \
            1202; densenetL-cifar in every depth 3n + 4, densenet-bcL-cifar in every depth 6n + 4, up \
            to 250, and with growth rate K as densenetL-kK-cifar. Every other network with -cifar behind \
            its name strides less, for images of about 32 pixels.

            Example: apus models
            Example: apus models resnet50 --batch 32 --side 224
            """)

    @Argument(help: "The network to look into.")
    var name: String?

    @Option(help: "Images in the training step whose memory is planned.")
    var batch = 32

    @Option(help: "Height and width of the images; the network's own by default.")
    var side: Int?

    @Option(help: "Channels of the images, 1 or 3.")
    var channels = 3

    @Option(help: "Classes; the network's own number by default.")
    var classes: Int?

    @Flag(help: "Print the compiled program of a training step.")
    var program = false

    @Flag(help: "Print JSON, one object a network.")
    var json = false

    func validate() throws {
        try require(batch, in: 1...65_536, "--batch")
        try require(side, in: 1...4096, "--side")
        try require(classes, in: 1...1_000_000, "--classes")
        if channels != 1 && channels != 3 { throw ValidationError("--channels must be 1 or 3") }
        if name == nil, program { throw ValidationError("--program needs the name of a network") }
    }

    func run() throws {
        if let name {
            try describe(try network(name))
        } else {
            try list()
        }
    }

    private func network(_ name: String) throws -> Network {
        let usual = try Models.named(name)
        return try Models.named(
            name, input: [channels, side ?? usual.input[1], side ?? usual.input[2]],
            classes: classes)
    }

    private func list() throws {
        var table = Table(
            ("name", .left), ("input", .left), ("parameters (M)", .right),
            ("multiply-adds (G)", .right))
        for name in Models.names {
            let network = try network(name)
            let statistics = Statistics(try network.graph(batch: 1, mode: .inference))
            if json {
                try printJSON(ModelLine(network, statistics))
            } else {
                table.add(
                    name, network.input.description, millions(statistics.parameters),
                    billions(statistics.multiplyAdds))
            }
        }
        if !json {
            table.print()
            print("\nmultiply-adds are those of convolutions and matrix products")
        }
    }

    private func describe(_ network: Network) throws {
        let statistics = Statistics(try network.graph(batch: 1, mode: .inference))
        let step = try Program(
            try network.lossGraph(batch: batch), differentiate: true,
            options: .init(block: Machine.block))
        if program {
            print(step)
            return
        }
        if json {
            var line = ModelLine(network, statistics)
            line.batch = batch
            line.training_step_bytes = step.peakBytes
            line.layers = statistics.rows.map(ModelLine.Row.init)
            try printJSON(line)
            return
        }
        var table = Table(
            ("layer", .left), ("operation", .left), ("output", .right), ("parameters", .right),
            ("multiply-adds", .right), ("activation", .right), ("sees", .right))
        for row in statistics.rows {
            table.add(
                row.path, row.operation,
                Shape(Array(row.output.dimensions.dropFirst())).description,
                row.parameters == 0 ? "" : String(row.parameters),
                row.multiplyAdds == 0 ? "" : String(row.multiplyAdds),
                String(format: "%.1f KiB", Double(row.activationBytes) / 1024),
                row.receptiveField.map { "\($0.height)x\($0.width)" } ?? "all")
        }
        table.print()
        print()
        print(
            "\(network.name), input \(network.input): \(millions(statistics.parameters)) M "
                + "parameters, \(billions(statistics.multiplyAdds)) G multiply-adds (convolutions and matrix products), "
                + "\(Readable.bytes(statistics.activationBytes)) of activations an image")
        print(
            "a training step of batch \(batch) takes \(Readable.bytes(step.peakBytes)): "
                + "\(Readable.bytes(step.arenaBytes)) of activations and gradients of them, "
                + "\(Readable.bytes(step.stateBytes)) of parameters, gradients and buffers; "
                + "the optimizer's state is extra")
    }

    private func millions(_ count: Int) -> String { String(format: "%.2f", Double(count) / 1e6) }
    private func billions(_ count: Int) -> String { String(format: "%.3f", Double(count) / 1e9) }
}

/// The names are those other tools read.
private struct ModelLine: Encodable {
    struct Row: Encodable {
        var path: String
        var operation: String
        var output: Shape
        var parameters: Int
        var multiply_adds: Int
        var activation_bytes: Int
        var receptive_field: [Int]?

        init(_ row: Statistics.Row) {
            path = row.path
            operation = row.operation
            output = row.output
            parameters = row.parameters
            multiply_adds = row.multiplyAdds
            activation_bytes = row.activationBytes
            receptive_field = row.receptiveField.map { [$0.height, $0.width] }
        }
    }

    var name: String
    var input: Shape
    var parameters: Int
    var multiply_adds: Int
    var activation_bytes: Int
    var batch: Int?
    var training_step_bytes: Int?
    var layers: [Row]?

    init(_ network: Network, _ statistics: Statistics) {
        name = network.name
        input = network.input
        parameters = statistics.parameters
        multiply_adds = statistics.multiplyAdds
        activation_bytes = statistics.activationBytes
    }
}
