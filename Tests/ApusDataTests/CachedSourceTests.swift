import ApusData
import ApusTensor
import Foundation
import Synchronization
import Testing

@Suite struct CachedSourceTests {
    /// Random pictures that count how often they are decoded.
    private final class Pictures: ImageSource {
        let count = 10
        let classNames = ["picture"]
        let imageShape: ImageShape? = nil
        let side: Int
        let reads = Mutex(0)

        init(side: Int) { self.side = side }

        func label(at index: Int) -> Int { 0 }
        func name(of index: Int) -> String { "picture \(index)" }
        func image(at index: Int) throws -> Image {
            reads.withLock { $0 += 1 }
            return noise("\(index)", width: side, height: side, channels: 3)
        }
        func stored(at index: Int) throws -> StoredImage {
            .encoded(try ImageEncoder.encodePNG(image(at: index)))
        }
    }

    @Test func imagesAreDecodedOnce() throws {
        let pictures = Pictures(side: 8)
        let cached = CachedSource(pictures, limit: 1 << 20)
        for _ in 0..<3 {
            for index in 0..<10 {
                let wanted = noise("\(index)", width: 8, height: 8, channels: 3)
                #expect(try cached.stored(at: index) == .decoded(wanted))
                #expect(try cached.image(at: index) == wanted)
            }
        }
        #expect(pictures.reads.withLock { $0 } == 10)
        #expect(cached.contents.count == 10 && cached.contents.bytes == 10 * 192)
    }

    @Test func theLimitHolds() throws {
        let pictures = Pictures(side: 8)
        let cached = CachedSource(pictures, limit: 4 * 192)
        for index in 0..<10 { _ = try cached.image(at: index) }
        #expect(cached.contents.count == 4 && cached.contents.bytes == 4 * 192)
        // What is not kept is left encoded, so that it can be decoded in part.
        guard case .encoded = try cached.stored(at: 9) else {
            Issue.record("image 9 was decoded")
            return
        }
        #expect(try cached.image(at: 9) == noise("9", width: 8, height: 8, channels: 3))
    }

    @Test func onlySmallImagesAreKeptUnasked() throws {
        #expect(try CachedSource.forSmallImages(Pictures(side: 8)) is CachedSource)
        #expect(try CachedSource.forSmallImages(Pictures(side: 65)) is Pictures)
        #expect(try CachedSource.forSmallImages(Pictures(side: 8), limit: 1919) is Pictures)
    }

    @Test func batchesAreTheSame() throws {
        func batches(_ source: any ImageSource) throws -> [Batch] {
            let loader = try Loader(
                source: source,
                preprocessing: Preprocessing(
                    channels: 3, resize: .exact(ImageSize(8)), mean: [0, 0, 0],
                    deviation: [1, 1, 1]), views: Views.named("simclr-small-images"),
                options: LoaderOptions(batchSize: 5, endEpoch: 2))
            var result: [Batch] = []
            while let batch = try loader.next() { result.append(batch) }
            return result
        }
        let pictures = Pictures(side: 9)
        let plain = try batches(pictures)
        let cached = try batches(CachedSource(pictures, limit: 1000))
        #expect(plain == cached && plain.count == 4)
    }
}
