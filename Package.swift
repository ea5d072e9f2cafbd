// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "apus",
    targets: [
        .target(name: "ApusTensor"),
        .target(name: "ApusFiles", dependencies: ["ApusTensor"]),
        .testTarget(name: "ApusTensorTests", dependencies: ["ApusTensor"]),
        .testTarget(name: "ApusFilesTests", dependencies: ["ApusFiles"]),
    ]
)
