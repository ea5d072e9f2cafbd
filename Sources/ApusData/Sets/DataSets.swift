import Foundation

/// Opens data sets by name, file or folder.
public enum DataSets {
    /// Opens a split of a data set.
    ///
    /// `name` is one of
    /// - `fashion-mnist`, as Debian's package `dataset-fashion-mnist` installs it,
    /// - `mnist:DIR`, `fashion-mnist:DIR`, `cifar10:DIR`, `cifar100:DIR`, `folder:DIR`,
    /// - `pack:FILE`, `list:FILE`, `tar:FILE`, where the file may be a pattern such as
    ///   `shard-{000..012}.tar`, or a folder of archives,
    /// - `unlabelled:NAME`: the images alone; of a folder all images in it, however deep,
    /// - `validation=0.1:NAME`: the training images of NAME without a tenth of them, which are the
    ///   test split instead,
    /// - a file or folder whose content says what it is: a pack, a list, a tar archive, IDX files,
    ///   CIFAR binaries, a `labels.csv` or `labels.jsonl`, archives, class folders, or images
    ///   without labels; or any of these inside `train/` and `test/` (or `val/`).
    ///
    /// The test split of a list or archive called `...train...` is the one called the same but for
    /// `test` or `val`.
    public static func open(_ name: String, split: Split) throws -> any ImageSource {
        if let (share, base) = try HeldOut.parse(name) {
            return try HeldOut.part(
                split, of: open(base, split: .train), share: share, name: base)
        }
        if name == "fashion-mnist" { return try openInstalledFashionMNIST(split) }
        for kind in kinds where name.hasPrefix(kind + ":") {
            return try open(kind, trimmed(String(name.dropFirst(kind.count + 1))), split)
        }
        return try open(path: trimmed(name), split)
    }

    private static let kinds = [
        "fashion-mnist", "mnist", "cifar10", "cifar100", "folder", "unlabelled", "pack", "list",
        "tar",
    ]

    /// What errors say that a name may be.
    private static let accepted =
        "a folder of images, a list (\(ListFile.endings.joined(separator: ", "))), .tar archives, a "
        + ".apack file, fashion-mnist, mnist:DIR, cifar10:DIR or cifar100:DIR"

    /// A data set that is asked for by kind.
    private static func open(
        _ kind: String, _ path: String, _ split: Split
    ) throws -> any ImageSource {
        switch kind {
        case "unlabelled": return try openUnlabelled(path, split)
        case "pack": return try PackSource(path: path, split: split)
        case "list": return try openList(path, split)
        case "tar": return try openArchives(path, split)
        default: break
        }
        try checkIsFolder(path)
        switch kind {
        case "mnist", "fashion-mnist":
            let names = kind == "mnist" ? (0..<10).map(String.init) : fashionNames
            guard let files = IDXFiles(directory: path, split: split) else {
                throw DataError(
                    path, "has no IDX files of the \(split) split",
                    remedy: "download \(IDXFiles.expectedNames(split)) into it")
            }
            return try IDXSource(images: files.images, labels: files.labels, classNames: names)
        case "cifar10":
            return try CIFARSource(directory: path, kind: .cifar10, split: split)
        case "cifar100":
            return try CIFARSource(directory: path, kind: .cifar100, split: split)
        default:
            return try openFolders(path, split)
        }
    }

    /// A data set that is known by its content.
    private static func open(path: String, _ split: Split) throws -> any ImageSource {
        if FolderSource.isDirectory(path) { return try open(directory: path, split) }
        if ShardPattern.isPattern(path), !FileListing.exists(path) {
            return try openArchives(path, split)
        }
        guard FileListing.exists(path) else {
            throw DataError(
                path.isEmpty ? "data set" : path,
                "is neither a folder nor a file nor the name of a data set",
                remedy: "give \(accepted)")
        }
        if PackSource.isPack(path) { return try PackSource(path: path, split: split) }
        if ListFile.isList(path) { return try openList(path, split) }
        if path.lowercased().hasSuffix(".tar") { return try openArchives(path, split) }
        if path.lowercased().hasSuffix(".apack") {
            // Says what is wrong with it.
            return try PackSource(path: path, split: split)
        }
        throw DataError(path, "is not a folder and no data set", remedy: "give \(accepted)")
    }

    private static func open(directory: String, _ split: Split) throws -> any ImageSource {
        if let kind = CIFARSource.kind(of: directory) {
            return try CIFARSource(directory: directory, kind: kind, split: split)
        }
        let splits = Split.allCases.filter { IDXFiles(directory: directory, split: $0) != nil }
        if !splits.isEmpty { return try openIDX(directory, splits, split) }
        if let list = ["labels.csv", "labels.jsonl"].map({ "\(directory)/\($0)" })
            .first(where: FileListing.exists)
        {
            return try openList(list, split)
        }
        if try !Shards.files(in: directory).isEmpty { return try openArchives(directory, split) }
        return try openFolders(directory, split)
    }

    private static func openIDX(
        _ directory: String, _ splits: [Split], _ split: Split
    ) throws -> any ImageSource {
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

    /// Class folders or images without labels, either in `train/` and `test/` (or `val/`) or
    /// directly in the folder.
    private static func openFolders(_ directory: String, _ split: Split) throws -> any ImageSource {
        let (train, test) = try splitFolders(directory)
        let isLabelled = try !FolderSource.classFolders(in: train).isEmpty
        if split == .train {
            return isLabelled
                ? try FolderSource(directory: train) : try FolderSource(unlabelled: train)
        }
        guard let test else { throw missing(split, directory, holdOut) }
        return isLabelled
            ? try FolderSource(
                directory: test, classNames: FolderSource.classFolders(in: train))
            : try FolderSource(unlabelled: test)
    }

    /// Where the training images are, and the test images if they are apart.
    private static func splitFolders(_ directory: String) throws -> (train: String, test: String?) {
        let train = "\(directory)/train"
        let test = ["test", "val"].map { "\(directory)/\($0)" }
            .first(where: FolderSource.isDirectory)
        // A folder of railway pictures may be called train, too: splits hold folders.
        let isSplit =
            try FolderSource.isDirectory(train)
            && (test != nil || !FolderSource.classFolders(in: train).isEmpty)
        return isSplit ? (train, test) : (directory, nil)
    }

    private static func openUnlabelled(_ path: String, _ split: Split) throws -> any ImageSource {
        guard FolderSource.isDirectory(path) else {
            if path.lowercased().hasSuffix(".tar") || ShardPattern.isPattern(path) {
                return try openArchives(path, split, readsLabels: false)
            }
            return Unlabelled(try open(path, split: split))
        }
        if try !Shards.files(in: path).isEmpty {
            return try openArchives(path, split, readsLabels: false)
        }
        let (train, test) = try splitFolders(path)
        if split == .train { return try FolderSource(unlabelled: train) }
        guard let test else { throw missing(split, path, holdOut) }
        return try FolderSource(unlabelled: test)
    }

    private static func openList(_ path: String, _ split: Split) throws -> any ImageSource {
        if split == .train { return try FolderSource(list: path) }
        guard let test = SplitName.test(of: path, exists: FileListing.exists) else {
            throw missing(split, path, "write \(SplitName.example(path)), or " + holdOut)
        }
        return try FolderSource(list: test, classNames: FolderSource(list: path).classNames)
    }

    private static func openArchives(
        _ path: String, _ split: Split, readsLabels: Bool = true
    ) throws -> any ImageSource {
        let shards = try Shards(path)
        if split == .train {
            return try TarSource(shards: shards.train, readsLabels: readsLabels)
        }
        guard let test = shards.test else { throw missing(split, path, holdOut) }
        let classNames =
            readsLabels ? try TarSource(shards: shards.train).classNames : nil
        return try TarSource(shards: test, classNames: classNames, readsLabels: readsLabels)
    }

    private static let holdOut =
        "put the images in train/ and test/ or hold out a part of the training images "
        + "(--validation 0.1)"

    private static func missing(
        _ split: Split, _ directory: String, _ remedy: String
    ) -> DataError {
        DataError(directory, "has no \(split) split", remedy: remedy)
    }

    private static func checkIsFolder(_ path: String) throws {
        guard !FolderSource.isDirectory(path) else { return }
        throw DataError(
            path.isEmpty ? "data set" : path,
            FileListing.exists(path) ? "is not a folder" : "does not exist",
            remedy: "give the folder of the data set")
    }

    /// Without a slash at the end, so that paths in errors look as one writes them.
    private static func trimmed(_ directory: String) -> String {
        var path = Substring(directory)
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return String(path)
    }

    // MARK: Fashion-MNIST

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
        return try open("fashion-mnist", fashionDirectory, split)
    }
}
