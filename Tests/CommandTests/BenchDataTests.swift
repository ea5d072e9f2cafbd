import ApusData
import Foundation
import Testing

@Suite("apus bench data")
struct BenchDataTests {
    private struct Result: Decodable {
        let examples_per_second: Double
        let workers: Int
        let cached_images: Int
        let note: String?
        let shares: [String: Double]
    }

    private func bench(_ data: String, _ arguments: String...) throws -> Result {
        let result = try Command.start(
            ["bench", "data", "--data", data, "--seconds", "0.05", "--json"] + arguments
        ).wait()
        #expect(result.status == 0, "\(result.errors)")
        return try JSONDecoder().decode(Result.self, from: Data(result.output.utf8))
    }

    @Test("A folder of pictures without classes", arguments: Views.names)
    func flat(views: String) throws {
        let scratch = try Scratch()
        for index in 0..<5 {
            let picture = Scratch.picture(120, label: index, index: index)
            try scratch.write(try ImageEncoder.encodeJPEG(picture), to: "\(index).JPEG")
        }
        let result = try bench(
            scratch.path(""), "--views", views, "--side", "24", "--workers", "2")
        #expect(result.examples_per_second > 0 && result.workers == 2)
        #expect(result.cached_images == 0)
        #expect(abs(result.shares.values.reduce(0, +) - 1) < 1e-6)
        #expect(result.shares["decode"] ?? 0 > 0 && result.shares["resize"] ?? 0 > 0)
        #expect((result.shares["blur"] ?? 0 > 0) == ["simclr", "byol"].contains(views))
        let kept = try bench(scratch.path(""), "--cache", "1", "--side", "24")
        #expect(kept.cached_images == 5 && kept.shares["decode"] == 0)
    }

    @Test("Small pictures in class folders are decoded once")
    func classes() throws {
        let scratch = try Scratch()
        try scratch.writeClasses()
        let data = scratch.path("data")
        let kept = try bench(data, "--views", "simclr-small-images", "--side", "8")
        #expect(kept.cached_images > 0 && kept.shares["decode"] == 0)
        let decoded = try bench(
            data, "--views", "simclr-small-images", "--side", "8", "--cache", "0")
        #expect(decoded.cached_images == 0 && decoded.shares["decode"] ?? 0 > 0)
        let table = try Command.run(
            "bench", "data", "--data", data, "--side", "8",
            "--seconds", "0.05", "--explain")
        #expect(table.output.contains("resize") && table.output.contains("examples/s"))
        #expect(table.output.contains("held back by"))
    }

    @Test("Pictures that are too large name the flag")
    func limits() throws {
        let scratch = try Scratch()
        try scratch.write(
            try ImageEncoder.encodeJPEG(Scratch.picture(120, label: 0, index: 0)), to: "big.jpg")
        expectFailure(
            try Command.run(
                "bench", "data", "--data", scratch.path(""), "--max-pixels", "14399"),
            "big.jpg", "--max-pixels")
    }
}
