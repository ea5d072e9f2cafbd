import ApusTensor

/// A part of the training images that is not learned from.
///
/// A hash of an image's stable name decides on which side it is. So an image stays there when others
/// come and go, and so does a data set when it is moved.
public enum HeldOut {
    /// The images that are learned from, or the `share` of about 0..<1 that is not.
    public static func part(
        _ split: Split, of source: any ImageSource, share: Double, name: String
    ) throws -> SubsetSource {
        let key = RandomKey(seed: 0).child("validation")
        let indices = (0..<source.count).filter { index in
            let isHeldOut = key.child(source.stableName(of: index)).uniform(at: 0) < Float(share)
            return isHeldOut == (split == .test)
        }
        guard !indices.isEmpty else {
            throw DataError(
                name, "has too few images (\(source.count)) to hold out \(share) of them",
                remedy: split == .test ? "hold out more" : "hold out less")
        }
        return SubsetSource(source, indices: indices)
    }

    /// Takes a name such as `validation=0.1:photos` apart; nil if it is none.
    static func parse(_ name: String) throws -> (share: Double, base: String)? {
        let prefix = "validation="
        guard name.hasPrefix(prefix) else { return nil }
        let parts = name.dropFirst(prefix.count).split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let share = Double(parts[0]), share > 0, share < 1 else {
            throw DataError(
                name, "does not say which share of the images to hold out",
                remedy: "write validation=0.1:NAME with a share between 0 and 1")
        }
        return (share, String(parts[1]))
    }
}
