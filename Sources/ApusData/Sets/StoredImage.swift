/// An image as a source holds it, before it is known which part of it will be seen.
public enum StoredImage: Hashable, Sendable {
    /// Pixels at hand.
    case decoded(Image)
    /// The bytes of a JPEG, PNG or WebP file. Who knows the view first can decode less of it.
    case encoded([UInt8])
}
