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
                        if FileListing.exists(path) { return path }
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
