import ApusData
import Foundation
import Testing

@Suite struct ListTests {
    private func folder() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for name in ["a.png", "b.png", "sub/my photo.png"] {
            try folder.write(
                ImageEncoder.encodePNG(noise(name, width: 5, height: 4, channels: 3)), to: name)
        }
        return folder
    }

    private func labels(_ source: any ImageSource) -> [Int] {
        (0..<source.count).map(source.label(at:))
    }

    @Test(arguments: [
        (
            "x.csv",
            "\u{FEFF}File,label\r\nb.png,dog\r\n\"sub/my photo.png\",\"a \"\"big\"\", cat\"\r\n"
        ),
        ("x.tsv", "label\tpath\ndog\tb.png\na \"big\", cat\tsub/my photo.png\n"),
        (
            "x.jsonl",
            "{\"file\": \"b.png\", \"label\": \"dog\"}\n\n"
                + "{\"label\": \"a \\\"big\\\", cat\", \"file\": \"sub/my photo.png\", \"z\": {}}"
        ),
        ("x.txt", "b.png dog\n\n  sub/my photo.png\ta \"big\", cat\n"),
    ])
    func formats(name: String, text: String) throws {
        let folder = try folder()
        let path = try folder.write(Array(text.utf8), to: name)
        for data in [path, "list:\(path)"] {
            let source = try DataSets.open(data, split: .train)
            #expect(source.classNames == ["a \"big\", cat", "dog"])
            #expect(labels(source) == [1, 0])
            #expect(source.stableName(of: 1) == "sub/my photo.png")
            #expect(
                try source.image(at: 1)
                    == noise("sub/my photo.png", width: 5, height: 4, channels: 3))
        }
    }

    @Test func withoutLabelsAndAbsolute() throws {
        let folder = try folder()
        let path = try folder.write(
            Array("a.png\nsub/my photo.png\n\(folder.path)/b.png\n".utf8), to: "list.txt")
        let source = try DataSets.open(path, split: .train)
        #expect(source.count == 3 && !source.hasLabels && labels(source) == [-1, -1, -1])
        #expect(source.name(of: 2) == "\(folder.path)/b.png")
        #expect(try source.image(at: 2).width == 5)
    }

    @Test func numbersAreInOrder() throws {
        let folder = try folder()
        let path = try folder.write(Array("file,label\na.png,10\nb.png,9\n".utf8), to: "l.csv")
        let source = try DataSets.open(path, split: .train)
        #expect(source.classNames == ["9", "10"] && labels(source) == [1, 0])
    }

    @Test func splitsByName() throws {
        let folder = try folder()
        let train = try folder.write(Array("a.png x\nb.png y".utf8), to: "train/train.txt")
        try folder.write(Array("a.png y".utf8), to: "train/test.txt")
        for name in ["a.png", "b.png"] {
            try folder.write(
                ImageEncoder.encodePNG(gradient(width: 2, height: 2)), to: "train/\(name)")
        }
        #expect(labels(try DataSets.open(train, split: .test)) == [1])
        let flat = try folder.write(Array("file,label\na.png,x\n".utf8), to: "labels.csv")
        #expect(try DataSets.open(folder.path, split: .train).classNames == ["x"])
        let none = dataError(naming: flat) { _ = try DataSets.open(flat, split: .test) }
        #expect(none.contains("test split"))
    }

    @Test(arguments: [
        ("x.csv", "name,label\na.png,1", "line 1", "no column called file"),
        ("x.csv", "file,label\na.png,1\nb.png", "line 3", "1 fields"),
        ("x.csv", "file,label\na.png,\"1\n", "line 2", "never closed"),
        ("x.csv", "file,label\n,1\n", "line 2", "names no file"),
        ("x.csv", "file,label\na.png,cat\nb.png,\n", "line 3", "has no label"),
        ("x.csv", "file,label\n", "x.csv", "names no images"),
        ("x.jsonl", "{\"file\": \"a.png\"}\n[1]\n", "line 2", "no JSON object"),
        ("x.jsonl", "{\"file\": 1.5}", "line 1", "no JSON object"),
        ("x.txt", "nothing.png 1\nnobody.png 2", "line 1", "does not exist"),
        ("x.txt", "", "x.txt", "names no images"),
    ])
    func badLists(name: String, text: String, place: String, problem: String) throws {
        let folder = try folder()
        let path = try folder.write(Array(text.utf8), to: name)
        let message = dataError(naming: place) { _ = try DataSets.open(path, split: .train) }
        #expect(message.contains(problem) && message.contains(path), "\(message)")
    }

    @Test func otherBadInput() throws {
        let folder = try folder()
        let binary = try folder.write([0xFF, 0xFE, 0x00], to: "b.csv")
        let text = dataError(naming: binary) { _ = try DataSets.open(binary, split: .train) }
        #expect(text.contains("UTF-8"))
        let missing = "\(folder.path)/none.csv"
        let message = dataError(naming: missing) { _ = try DataSets.open(missing, split: .train) }
        #expect(message.contains(".apack") && message.contains(".tar") && message.contains(".csv"))
        let train = try folder.write(Array("a.png x".utf8), to: "train.txt")
        let test = try folder.write(Array("a.png x\nb.png z".utf8), to: "test.txt")
        let stranger = dataError(naming: "\(test) line 2") {
            _ = try DataSets.open(train, split: .test)
        }
        #expect(stranger.contains("\"z\""))
        // Files that are missing are found when they are read.
        let some = try folder.write(Array("gone.png\na.png".utf8), to: "some.txt")
        let source = try DataSets.open(some, split: .train)
        #expect(
            dataError(naming: "gone.png") { _ = try source.image(at: 0) }.contains("no such file"))
    }
}
