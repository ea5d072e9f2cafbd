import Foundation

/// Opens data sets by name or by folder.
public enum DataSets {
    /// Opens a split of a data set.
    ///
    /// `name` is one of
    /// - `fashion-mnist`, as Debian's package `dataset-fashion-mnist` installs it,
    /// - `mnist:DIR`, `fashion-mnist:DIR`, `cifar10:DIR`, `cifar100:DIR`, `folder:DIR`,
    /// - a folder whose content says what it is: IDX files, CIFAR binaries, class folders, or
    ///   any of these inside `train/` and `test/` (or `val/`).
    public static func open(_ name: String, split: Split) throws -> any ImageSource {
        if name == "fashion-mnist" { return try openInstalledFashionMNIST(split) }
        for kind in ["fashion-mnist", "mnist", "cifar10", "cifar100", "folder"]
        where name.hasPrefix(kind + ":") {
            return try open(kind, directory: String(name.dropFirst(kind.count + 1)), split)
        }
        return try open(directory: name, split)
    }

    /// Where Debian's package puts Fashion-MNIST.
    private static let fashionDirectory = "/usr/share/datasets/fashion-mnist"

    private static let fashionNames = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]

    private static func openInstalledFashionMNIST(_ split: Split) throws -> any ImageSource {
        guard FolderSource.isDirectory(fashionDirectory) else {
            throw DataError(
                "fashion-mnist", "is not installed in \(fashionDirectory)",
                remedy: "run `apt-get install dataset-fashion-mnist` or give fashion-mnist:DIR")
        }
        return try open("fashion-mnist", directory: fashionDirectory, split)
    }

    private static func open(
        _ kind: String, directory given: String, _ split: Split
    ) throws -> any ImageSource {
        let directory = trimmed(given)
        try checkExists(directory)
        switch kind {
        case "mnist", "fashion-mnist":
            let names = kind == "mnist" ? (0..<10).map(String.init) : fashionNames
            guard let files = IDXFiles(directory: directory, split: split) else {
                throw DataError(
                    directory, "has no IDX files of the \(split) split",
                    remedy: "download \(IDXFiles.expectedNames(split)) into it")
            }
            return try IDXSource(images: files.images, labels: files.labels, classNames: names)
        case "cifar10":
            return try CIFARSource(directory: directory, kind: .cifar10, split: split)
        case "cifar100":
            return try CIFARSource(directory: directory, kind: .cifar100, split: split)
        default:
            return try openFolders(directory, split)
        }
    }

    private static func open(directory given: String, _ split: Split) throws -> any ImageSource {
        let directory = trimmed(given)
        try checkExists(directory)
        if let kind = CIFARSource.kind(of: directory) {
            return try CIFARSource(directory: directory, kind: kind, split: split)
        }
        let splits = Split.allCases.filter { IDXFiles(directory: directory, split: $0) != nil }
        guard !splits.isEmpty else { return try openFolders(directory, split) }
        guard let files = IDXFiles(directory: directory, split: split) else {
            throw missing(split, directory, "download \(IDXFiles.expectedNames(split)) into it")
        }
        // Both splits count the classes, so that they agree even if one lacks the last class.
        let largest = try splits.compactMap { split -> UInt8? in
            guard let files = IDXFiles(directory: directory, split: split) else { return nil }
            let labels = try IDXFile(path: files.labels, rank: 1)
            return labels.bytes[labels.offset...].max()
        }.max()
        return try IDXSource(
            images: files.images, labels: files.labels,
            classNames: (0...Int(largest ?? 0)).map(String.init))
    }

    /// Class folders, either in `train/` and `test/` (or `val/`) or directly in the folder.
    private static func openFolders(_ directory: String, _ split: Split) throws -> any ImageSource {
        let trainFolder = "\(directory)/train"
        let test = ["test", "val"].map { "\(directory)/\($0)" }
            .first(where: FolderSource.isDirectory)
        // A folder of railway pictures may be called train, too: splits hold folders.
        let hasTrainFolder =
            try FolderSource.isDirectory(trainFolder)
            && (test != nil || !FolderSource.classFolders(in: trainFolder).isEmpty)
        let train = hasTrainFolder ? trainFolder : directory
        if split == .train { return try FolderSource(directory: train) }
        guard let test, hasTrainFolder else {
            throw missing(
                split, directory,
                "put the images in train/ and test/ or hold out a part of the training images")
        }
        return try FolderSource(
            directory: test, classNames: FolderSource.classFolders(in: train))
    }

    private static func missing(
        _ split: Split, _ directory: String, _ remedy: String
    ) -> DataError {
        DataError(directory, "has no \(split) split", remedy: remedy)
    }

    private static func checkExists(_ directory: String) throws {
        guard !FolderSource.isDirectory(directory) else { return }
        let exists = FileManager.default.fileExists(atPath: directory)
        throw DataError(
            directory.isEmpty ? "data set" : directory,
            exists ? "is not a folder" : "is neither a folder nor the name of a data set",
            remedy: "give a folder, fashion-mnist, mnist:DIR, cifar10:DIR or cifar100:DIR")
    }

    /// Without a slash at the end, so that paths in errors look as one writes them.
    private static func trimmed(_ directory: String) -> String {
        var path = Substring(directory)
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return String(path)
    }
}

/// The two files of a split of an IDX data set, under the names they are published with.
struct IDXFiles {
    let images: String
    let labels: String

    /// Finds the files; nil if either is missing.
    init?(directory: String, split: Split) {
        let prefixes = split == .train ? ["train"] : ["t10k", "test"]
        func find(_ part: String, _ rank: Int) -> String? {
            for prefix in prefixes {
                for separator in ["-", "."] {
                    for ending in ["", ".gz"] {
                        let path =
                            "\(directory)/\(prefix)-\(part)\(separator)idx\(rank)-ubyte\(ending)"
                        if FileManager.default.fileExists(atPath: path) { return path }
                    }
                }
            }
            return nil
        }
        guard let images = find("images", 3), let labels = find("labels", 1) else { return nil }
        self.images = images
        self.labels = labels
    }

    static func expectedNames(_ split: Split) -> String {
        let prefix = split == .train ? "train" : "t10k"
        return "\(prefix)-images-idx3-ubyte.gz and \(prefix)-labels-idx1-ubyte.gz"
    }
}
