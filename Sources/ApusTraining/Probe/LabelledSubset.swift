import ApusData

/// Some images of a source, in the order given.
struct LabelledSubset: ImageSource {
    let source: any ImageSource
    let positions: [Int]

    var count: Int { positions.count }
    var classNames: [String] { source.classNames }
    var imageShape: ImageShape? { source.imageShape }
    func label(at index: Int) -> Int { source.label(at: positions[index]) }
    func image(at index: Int) throws -> Image { try source.image(at: positions[index]) }
    func stored(at index: Int) throws -> StoredImage { try source.stored(at: positions[index]) }
    func name(of index: Int) -> String { source.name(of: positions[index]) }

    /// How many images every class has.
    var countsByClass: [Int] {
        var counts = [Int](repeating: 0, count: classNames.count)
        for index in positions.indices { counts[label(at: index)] += 1 }
        return counts
    }
}
