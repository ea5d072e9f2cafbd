// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "apus",
    targets: [
        .target(name: "ApusTensor"),
        .testTarget(name: "ApusTensorTests", dependencies: ["ApusTensor"]),
    ]
)
