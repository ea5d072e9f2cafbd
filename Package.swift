// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "apus",
    targets: [
        .target(name: "ApusTensor"),
        .target(name: "ApusGraph", dependencies: ["ApusTensor"]),
        .target(name: "ApusModels", dependencies: ["ApusGraph"]),
        .target(name: "ApusCompiler", dependencies: ["ApusGraph"]),
        .testTarget(name: "ApusTensorTests", dependencies: ["ApusTensor"]),
        .testTarget(name: "ApusGraphTests", dependencies: ["ApusGraph"]),
        .testTarget(name: "ApusModelsTests", dependencies: ["ApusModels"]),
        .testTarget(name: "ApusCompilerTests", dependencies: ["ApusCompiler", "ApusModels"]),
    ]
)
