import ApusFiles
import Foundation
import Testing

/// Examples of FIPS 180 and, around the ends of blocks, results of coreutils' sha256sum.
@Suite struct SHA256Tests {
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func standardExamples(text: String, hash: String) {
        #expect(SHA256.hex(Data(text.utf8)) == hash)
    }

    @Test(arguments: [
        (55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"),
        (56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"),
        (64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"),
        (1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ])
    func repeatedLetters(count: Int, hash: String) {
        #expect(SHA256.hex(Data(repeating: UInt8(ascii: "a"), count: count)) == hash)
    }

    /// A slice's indices do not begin at 0.
    @Test func slicesAndFiles() throws {
        let folder = try Folder()
        try Data("abc".utf8).write(to: URL(fileURLWithPath: folder.file("f")))
        let hash = SHA256.hex(Data("abc".utf8))
        #expect(SHA256.hex(Data("xabcx".utf8)[1..<4]) == hash)
        #expect(try SHA256.hex(file: folder.file("f")) == hash)
        #expect(message { _ = try SHA256.hex(file: folder.file("g")) }.contains("does not exist"))
    }
}
