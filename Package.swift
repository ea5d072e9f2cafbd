// swift-tools-version: 6.1
import PackageDescription

// Targets stand in the order a network travels; imports run strictly downward.
let package = Package(
    name: "apus",
    products: [
        .library(name: "Apus", targets: ["Apus"]),
        .executable(name: "apus", targets: ["ApusCommand"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    ],
    targets: [
        .systemLibrary(name: "CDNNL", providers: [.apt(["libdnnl-dev"])]),
        .systemLibrary(name: "CTurboJPEG", providers: [.apt(["libturbojpeg0-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CJPEG"),
        .target(name: "CPNG"),
        .target(name: "CKernels", linkerSettings: [.linkedLibrary("gomp")]),

        .target(name: "ApusTensor"),
        .target(name: "ApusGraph", dependencies: ["ApusTensor"]),
        .target(name: "ApusModels", dependencies: ["ApusGraph"]),
        .target(name: "ApusCompiler", dependencies: ["ApusGraph"]),
        .target(name: "ApusRuntime", dependencies: ["ApusCompiler", "CDNNL", "CKernels"]),
        .target(name: "ApusFiles", dependencies: ["ApusTensor"]),
        .target(
            name: "ApusData",
            dependencies: [
                "ApusTensor", "ApusFiles", "CJPEG", "CKernels", "CTurboJPEG", "CPNG", "CZlib",
            ]),
        .target(
            name: "ApusONNX",
            dependencies: [
                "ApusGraph", "ApusFiles",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["onnx.proto"]),
        .target(
            name: "ApusTraining",
            dependencies: [
                "ApusModels", "ApusRuntime", "ApusData", "ApusFiles", "ApusONNX", "CKernels",
            ]),
        .target(name: "ApusReport", dependencies: ["ApusTraining"]),
        .plugin(name: "ExperimentList", capability: .buildTool()),
        .target(
            name: "ApusLab", dependencies: ["ApusReport"],
            resources: [.embedInCode("Pictures/chelsea.jpg")], plugins: ["ExperimentList"]),
        .target(name: "Apus", dependencies: ["ApusTraining"]),
        .executableTarget(
            name: "ApusCommand",
            dependencies: [
                "Apus", "ApusReport", "ApusLab",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        .testTarget(name: "ApusTensorTests", dependencies: ["ApusTensor"]),
        .testTarget(name: "ApusGraphTests", dependencies: ["ApusGraph"]),
        .testTarget(name: "ApusModelsTests", dependencies: ["ApusModels"]),
        .testTarget(name: "ApusCompilerTests", dependencies: ["ApusCompiler", "ApusModels"]),
        .testTarget(
            name: "ApusRuntimeTests", dependencies: ["ApusRuntime", "ApusModels", "CKernels"]),
        .testTarget(
            name: "ApusDataTests",
            dependencies: ["ApusData", "ApusTensor", "CJPEG", "CTurboJPEG", "CZlib"]),
        .testTarget(
            name: "ApusTrainingTests", dependencies: ["ApusTraining"]),
        .testTarget(name: "ApusReportTests", dependencies: ["ApusReport"]),
        .testTarget(name: "ApusLabTests", dependencies: ["ApusLab"]),
        .testTarget(name: "ApusFilesTests", dependencies: ["ApusFiles"]),
        .testTarget(
            name: "ApusONNXTests",
            dependencies: [
                "ApusTraining", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .testTarget(
            name: "CommandTests", dependencies: ["ApusCommand", "ApusData", "ApusReport"]),
        .testTarget(name: "ApusTests", dependencies: ["Apus"]),
    ]
)
