import ApusData
import ApusFiles
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// Squares of which some cannot be read.
private struct Holey: ImageSource {
    let source = Squares(count: 11)
    var count: Int { source.count }
    var classNames: [String] { source.classNames }
    var imageShape: ImageShape? { nil }
    func label(at index: Int) -> Int { source.label(at: index) }
    func name(of index: Int) -> String { source.name(of: index) }
    func image(at index: Int) throws -> Image {
        if index == 2 || index == 7 {
            throw DataError(name(of: index), "is broken", remedy: "mend it")
        }
        let image = source.image(at: index)
        // Images of other sizes are taken, too.
        return index == 5
            ? Image(
                width: 36, height: 24, channels: 3,
                pixels: .init(repeating: 90, count: 36 * 24 * 3)) : image
    }
}

@Suite struct EmbeddingTests {
    private let temporary: TemporaryFolder
    private let encoder: FeatureEncoder

    init() throws {
        temporary = try TemporaryFolder()
        try writePretraining(temporary.run("run"))
        encoder = try FeatureEncoder(temporary.run("run").path)
    }

    private func embed(isStrict: Bool = false) throws -> Embedding {
        try Embedder(FeatureExtractor(encoder, batch: 4, configuration: .direct)).embed(
            Holey(), data: "squares", split: .test, hasLabels: true, isStrict: isStrict)
    }

    @Test func listsWhatCannotBeRead() throws {
        let embedding = try embed()
        #expect(embedding.count == 9 && embedding.features.shape == [9, 32])
        #expect(embedding.samples == [0, 1, 3, 4, 5, 6, 8, 9, 10])
        #expect(embedding.labels == embedding.samples.map { $0 % 3 })
        #expect(embedding.source.failures.map(\.name) == ["train 2", "train 7"])
        #expect(embedding.source.failures[0].problem.contains("is broken"))
        #expect(message { _ = try embed(isStrict: true) }.contains("train 2"))
        // A row is what the image gives alone.
        let alone = try Embedder(FeatureExtractor(encoder, batch: 1, configuration: .direct))
            .embed([(Squares(count: 11).image(at: 8), "8")])
        for (a, b) in zip(alone.elements, embedding.features.elements[192..<224]) {
            #expect(abs(a - b) < 1e-5)
        }
    }

    @Test func isReadBackAsItWasWritten() throws {
        let embedding = try embed()
        let path = temporary.path + "/features.safetensors"
        try embedding.write(to: path)
        let read = try Embedding(contentsOf: path)
        #expect(read == embedding)
        #expect(read.className(of: 1) == "second")
        try read.require(encoder, path: path)
        #expect(
            message { try read.require(encoder.redrawn(seed: 9), path: path) }
                .contains("another encoder"))
    }

    @Test func namesWhatIsWrongWithAFile() throws {
        let path = temporary.path + "/features.safetensors"
        try embed().write(to: path)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for count in [0, 7, 100, whole.count / 2, whole.count - 1] {
            try whole.prefix(count).write(to: URL(fileURLWithPath: path))
            #expect(
                message { _ = try Embedding(contentsOf: path) }.contains("features.safetensors"))
        }
        try whole.write(to: URL(fileURLWithPath: path))
        let file = try Safetensors.read(path)
        func rewrite(_ change: (String, StoredTensor) -> NamedTensor?) throws {
            try Safetensors.write(
                file.tensors.compactMap { change($0.name, $0.tensor) }, metadata: file.metadata,
                to: path)
        }
        try rewrite { $0 == "names" ? nil : NamedTensor($0, $1) }
        #expect(message { _ = try Embedding(contentsOf: path) }.contains("does not say"))
        try rewrite { $0 == "samples" ? NamedTensor($0, [Int64](1...2)) : NamedTensor($0, $1) }
        #expect(message { _ = try Embedding(contentsOf: path) }.contains("9 rows"))
        try rewrite {
            $0 == "labels" ? NamedTensor($0, [Int64](repeating: 3, count: 9)) : NamedTensor($0, $1)
        }
        #expect(message { _ = try Embedding(contentsOf: path) }.contains("labels"))
        try Safetensors.write(tensors: [("weight", Tensor([1], [1]))], to: path)
        #expect(message { _ = try Embedding(contentsOf: path) }.contains("apus embed"))
    }
}

@Suite struct PlaneMapTests {
    /// Points on an ellipse in a plane that is turned in five dimensions.
    @Test func findsThePlaneOfLargestVariance() {
        let key = RandomKey(seed: 2)
        var elements: [Float] = []
        for row in 0..<400 {
            let a = 3 * key.uniform(in: -1...1, at: 2 * row)
            let b = key.uniform(in: -1...1, at: 2 * row + 1)
            // (0.6, 0.8, 0, ...) and (0, 0, 0.8, 0.6, 0) are of unit length and orthogonal.
            elements += [5 + 0.6 * a, 0.8 * a, 0.8 * b, 0.6 * b - 2, 1]
        }
        let vectors = Tensor([400, 5], elements)
        let found = PrincipalComponents(vectors, count: 2)
        let expected: [Float] = [0.6, 0.8, 0, 0, 0, 0, 0, 0.8, 0.6, 0]
        for (a, b) in zip(found.components.elements, expected) { #expect(abs(a - b) < 0.02) }
        // The deviation of an even distribution over -1...1 is the root of a third.
        #expect(abs(found.variances[0] - 3) < 0.4 && abs(found.variances[1] - 1 / 3.0) < 0.05)
        #expect(abs(found.totalVariance - found.variances[0] - found.variances[1]) < 1e-4)
        let places = found.project(vectors)
        for row in 0..<400 {
            // Distances in the plane are those in space.
            let far = zip(0..<5, 0..<5).reduce(Float(0)) { sum, pair in
                let d = elements[row * 5 + pair.0] - elements[pair.1]
                return sum + d * d
            }
            let (x, y) = (
                places.elements[2 * row] - places.elements[0],
                places.elements[2 * row + 1] - places.elements[1]
            )
            #expect(abs(x * x + y * y - far) < 1e-2 * max(1, far))
        }
    }

    @Test func componentsOfWideAndOfConstantVectors() {
        let key = RandomKey(seed: 3)
        let wide = Tensor([6, 40], (0..<240).map { key.uniform(in: -1...1, at: $0) })
        let found = PrincipalComponents(wide, count: 10)
        // Six points span five dimensions: what they span holds all the variance.
        #expect(found.variances.prefix(5).reduce(0, +) > 0.999 * found.totalVariance)
        #expect(found.variances.dropFirst(5).allSatisfy { $0 < 1e-6 })
        let constant = PrincipalComponents(Tensor([4, 3], repeating: 2), count: 2)
        #expect(constant.variances == [0, 0])
        #expect(constant.components.elements.allSatisfy { $0.isFinite })
    }

    /// Clusters of ten dimensions stay together: almost every nearest neighbor is of the same one.
    @Test func keepsNeighborsTogether() throws {
        let data = try clusters(count: 240, width: 10, classes: 4, noise: 0.3)
        var map = NeighborMap()
        map.iterations = 300
        map.perplexity = 12
        map.threads = 1
        let centered = PrincipalComponents(data.features, count: 10).project(data.features)
        let places = try map.place(centered)
        #expect(places.elements.allSatisfy { $0.isFinite })
        var same = 0
        for i in 0..<240 {
            let nearest = (0..<240).filter { $0 != i }.min { a, b in
                func distance(_ j: Int) -> Float {
                    let dx = places.elements[2 * i] - places.elements[2 * j]
                    let dy = places.elements[2 * i + 1] - places.elements[2 * j + 1]
                    return dx * dx + dy * dy
                }
                return distance(a) < distance(b)
            }
            if let nearest, data.labels[nearest] == data.labels[i] { same += 1 }
        }
        #expect(same > 228, "\(same)")
        map.threads = 3
        #expect(try map.place(centered) == places)
        #expect(throws: CancellationError.self) {
            _ = try map.place(centered, shouldStop: { true })
        }
    }

    /// Equal vectors and very few must not become numbers that are not finite.
    @Test func placesDegenerateSets() throws {
        var map = NeighborMap()
        map.iterations = 60
        for vectors in [Tensor([8, 3], repeating: 1), Tensor([3, 2], [1, 0, 0, 1, 1, 1])] {
            #expect(try map.place(vectors).elements.allSatisfy { $0.isFinite })
        }
        #expect(message { _ = try map.place(Tensor([2, 2], repeating: 1)) }.contains("at least 3"))
    }
}
