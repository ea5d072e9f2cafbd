/// What is wrong with an image, from the worst to what may be as meant.
public enum ImageProblem: String, Hashable, Codable, Sendable, CaseIterable {
    /// The file cannot be read at all.
    case unreadable
    /// The file ends too early.
    case cutShort = "cut short"
    /// The file is an image of a known kind, but its content is not.
    case damaged
    /// The content is that of no known kind of image.
    case noImage = "no image"
    /// The content is of another kind than the name says.
    case wrongName = "wrong name"
    case tiny
    case huge
    /// One side is much longer than the other.
    case oblong
    /// All pixels are the same.
    case oneColor = "one color"

    /// Whether nothing can be learned from the image.
    public var isBroken: Bool {
        [.unreadable, .cutShort, .damaged, .noImage].contains(self)
    }
}

/// An image and where it is.
public struct CheckedImage: Hashable, Codable, Sendable {
    public let name: String
    public let split: Split
    /// The position in the split.
    public let index: Int
    /// The class; nil where images have no labels.
    public let label: String?
}

/// A problem of one image.
public struct ImageFinding: Hashable, Codable, Sendable {
    public let problem: ImageProblem
    public let image: CheckedImage
    /// The problem in words.
    public let detail: String
}

/// Images that are the same.
public struct DuplicateGroup: Hashable, Codable, Sendable {
    /// Whether their bytes are the same; else they look the same.
    public let isExact: Bool
    public let images: [CheckedImage]

    /// Whether some are learned from and others measured on: results would be too good.
    public var isAcrossSplits: Bool { Set(images.map(\.split)).count > 1 }
    /// Whether they have different labels, of which at most one is right.
    public var isAcrossClasses: Bool { Set(images.map(\.label)).count > 1 }
}

/// How many images a class has.
public struct ClassCount: Hashable, Codable, Sendable {
    public let name: String
    public let train: Int
    public let test: Int
}

/// Everything `DataCheck` found.
public struct DataFindings: Hashable, Codable, Sendable {
    public var images = 0
    /// Bytes of all image files, or of pixels where there are no files.
    public var bytes = 0
    /// Images that can be decoded.
    public var readable = 0
    public var problems: [ImageFinding] = []
    public var duplicates: [DuplicateGroup] = []
    public var classes: [ClassCount] = []
    /// Sizes of the readable images: least, median and largest short and long side in pixels.
    public var shortSides: Spread?
    public var longSides: Spread?
    /// Per channel, in units where white is 1; empty if no image can be read.
    public var mean: [Float] = []
    public var deviation: [Float] = []
    /// Files that are not images by their names.
    public var otherFiles: [String] = []

    public struct Spread: Hashable, Codable, Sendable {
        public let least: Int
        public let median: Int
        public let largest: Int

        init?(_ values: [Int]) {
            guard !values.isEmpty else { return nil }
            let sorted = values.sorted()
            least = sorted[0]
            median = sorted[sorted.count / 2]
            largest = sorted[sorted.count - 1]
        }
    }

    /// The images from which nothing can be learned.
    public var broken: [ImageFinding] { problems.filter(\.problem.isBroken) }

    /// The largest class over the smallest, among training images; nil without classes.
    public var imbalance: Double? {
        guard let most = classes.map(\.train).max(), let least = classes.map(\.train).min() else {
            return nil
        }
        return least == 0 ? .infinity : Double(most) / Double(least)
    }
}
