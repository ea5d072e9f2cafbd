// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "apus",
    targets: [
        .systemLibrary(name: "CTurboJPEG", providers: [.apt(["libturbojpeg0-dev"])]),
        .systemLibrary(name: "CPNG", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "ApusTensor"),
        .target(name: "ApusData", dependencies: ["ApusTensor", "CTurboJPEG", "CPNG", "CZlib"]),
        .testTarget(name: "ApusTensorTests", dependencies: ["ApusTensor"]),
        .testTarget(
            name: "ApusDataTests",
            dependencies: ["ApusData", "ApusTensor", "CTurboJPEG", "CPNG", "CZlib"]),
    ]
)
