import ApusTensor

/// Vectors that represent images, and the classes of the images.
public struct LabelledFeatures: Hashable, Sendable {
    /// [images, features].
    public let features: Tensor
    /// The class of every image: 0..<classes.
    public let labels: [Int32]
    public let classes: Int

    /// Throws a `TrainingError` where there are no images, labels are missing or out of range, or
    /// features are not finite.
    public init(_ features: Tensor, labels: [Int32], classes: Int) throws {
        guard features.shape.rank == 2, features.shape[0] > 0, features.shape[1] > 0 else {
            throw TrainingError(
                "features must be [images, features] of at least one each, not \(features.shape)")
        }
        guard labels.count == features.shape[0] else {
            throw TrainingError("there are \(labels.count) labels for \(features.shape[0]) images")
        }
        if let row = labels.firstIndex(where: { !(0..<Int32(classes)).contains($0) }) {
            throw TrainingError("image \(row) has label \(labels[row]) of \(classes) classes")
        }
        let width = features.shape[1]
        if let place = features.elements.firstIndex(where: { !$0.isFinite }) {
            throw TrainingError(
                "the features of image \(place / width) are not finite; the encoder's weights or "
                    + "statistics are damaged: look at its run")
        }
        self.features = features
        self.labels = labels
        self.classes = classes
    }

    public var count: Int { features.shape[0] }
    public var width: Int { features.shape[1] }

    /// The rows of a part, in the order given.
    public func part(_ rows: [Int]) throws -> LabelledFeatures {
        var elements: [Float] = []
        elements.reserveCapacity(rows.count * width)
        for row in rows { elements += features.elements[row * width..<(row + 1) * width] }
        return try LabelledFeatures(
            Tensor([rows.count, width], elements), labels: rows.map { labels[$0] },
            classes: classes)
    }
}

/// Draws parts of labelled images with the same number of each class.
public enum BalancedSubset {
    /// Positions of about `share` of all images, sorted: the same number of every class, or all of
    /// a class that has fewer. A pure function of the labels and the key.
    ///
    /// A share of 1 takes everything, balanced or not; a smaller one at least one image a class.
    public static func draw(
        _ share: Double, of labels: [Int32], classes: Int, key: RandomKey
    ) -> [Int] {
        guard share < 1 else { return Array(labels.indices) }
        let each = max(1, Int((share * Double(labels.count) / Double(classes)).rounded()))
        return byClass(labels, classes).enumerated().flatMap { label, members in
            key.child(label).permutation(members.count).prefix(each).map { members[$0] }
        }.sorted()
    }

    /// Splits positions into a part to learn from and a part to choose settings on, which has
    /// `share` of every class, at least one and never all of it.
    public static func holdOut(
        _ share: Double, of labels: [Int32], classes: Int, key: RandomKey
    ) -> (kept: [Int], heldOut: [Int]) {
        var kept: [Int] = []
        var heldOut: [Int] = []
        for (label, members) in byClass(labels, classes).enumerated() {
            let count = min(
                members.count - 1, max(1, Int((share * Double(members.count)).rounded())))
            let order = key.child(label).permutation(members.count).map { members[$0] }
            heldOut += order.prefix(max(0, count))
            kept += order.dropFirst(max(0, count))
        }
        return (kept.sorted(), heldOut.sorted())
    }

    private static func byClass(_ labels: [Int32], _ classes: Int) -> [[Int]] {
        var members = [[Int]](repeating: [], count: classes)
        for (position, label) in labels.enumerated() { members[Int(label)].append(position) }
        return members
    }
}
