/// Gray images and labels in a pair of IDX files: MNIST, Fashion-MNIST and their like.
public struct IDXSource: ImageSource {
    public let classNames: [String]
    private let images: PackedImages
    private let imagesPath: String

    /// Reads both files, plain or gzip compressed.
    ///
    /// Without `classNames` the classes are called by their numbers, from 0 to the largest label.
    public init(images imagesPath: String, labels labelsPath: String, classNames: [String]? = nil)
        throws
    {
        let pictures = try IDXFile(path: imagesPath, rank: 3)
        let labelFile = try IDXFile(path: labelsPath, rank: 1)
        let labels = Array(labelFile.bytes[labelFile.offset...])
        guard pictures.dimensions[0] == labels.count else {
            throw DataError(
                labelsPath,
                "has \(labels.count) labels for \(pictures.dimensions[0]) images in \(imagesPath)",
                remedy: "use two files of the same data set and split")
        }
        guard !labels.isEmpty, pictures.dimensions[1] > 0, pictures.dimensions[2] > 0 else {
            throw DataError(imagesPath, "holds no images", remedy: "download it again")
        }
        let names = classNames ?? (0...Int(labels.max() ?? 0)).map(String.init)
        try PackedImages.check(labels: labels, classes: names.count) { index in
            "\(labelsPath)[\(index)]"
        }
        self.classNames = names
        self.imagesPath = imagesPath
        images = PackedImages(
            shape: ImageShape(
                channels: 1, height: pictures.dimensions[1], width: pictures.dimensions[2]),
            bytes: pictures.bytes, offset: pictures.offset, labels: labels)
    }

    public var count: Int { images.labels.count }
    public var imageShape: ImageShape? { images.shape }
    public func label(at index: Int) -> Int { Int(images.labels[index]) }
    public func image(at index: Int) throws -> Image { images.image(at: index) }
    public func name(of index: Int) -> String { "\(imagesPath)[\(index)]" }
}
