import ApusFiles
import Foundation
import Testing

@Suite struct SafetensorsErrorTests {
    /// The error for a file with this header and this many bytes after it.
    private func error(_ header: String, elements: Int = 0, length: UInt64? = nil) -> String {
        var data = Data((length ?? UInt64(header.utf8.count)).bytes)
        data.append(contentsOf: header.utf8)
        data.append(Data(count: elements))
        return message { _ = try Safetensors.decode(data, path: "f") }
    }

    private func tensor(
        _ name: String = "x", type: String = "F32", shape: String = "[1]", _ begin: String = "0",
        _ end: String = "4"
    ) -> String {
        #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":[\#(begin),\#(end)]}"#
    }

    @Test func goodHeadersAreRead() {
        #expect(error("{\(tensor())}  ", elements: 4) == "no error")
        #expect(error(#"{"__metadata__":{"a":"\u00e9\ud83d\ude00"}}"#) == "no error")
        #expect(error("{}") == "no error")
    }

    @Test func lengthsAreChecked() {
        #expect(
            message { _ = try Safetensors.decode(Data([1, 2]), path: "f") }
                .contains("has 2 bytes, too few"))
        #expect(error("{}", length: 100_000_001).contains("more than 100000000"))
        #expect(error("{}", length: .max).contains("more than 100000000"))
        #expect(error("{}", length: 10).contains("it lacks 8 bytes of its header"))
        #expect(error("{\(tensor())}", elements: 1).contains("truncated: it lacks 3 bytes of 4"))
        #expect(error("{\(tensor())}", elements: 6).contains("2 bytes after its last tensor"))
    }

    @Test func jsonIsStrict() {
        let faults = [
            (" {}", "does not begin with"), ("{", "lacks"), ("{}x", "goes on"), ("{1:2}", "lacks"),
            (#"{"a"}"#, "lacks `:`"), (#"{"a":[]}"#, "lacks `{`"),
            (#"{"a":{}}"#, "lacks the dtype"),
            (#"{"a":{},}"#, "lacks"), (#"{"\x":{}}"#, "unknown escape"),
            (#"{"\ud800":{}}"#, "surrogate"), (#"{"\ud800\u0041":{}}"#, "surrogate"),
            (#"{"\u12g4":{}}"#, "escape"), ("{\"a\n\":{}}", "control"), (#"{"a"#, "endless"),
            (#"{"__metadata__":{"a":1}}"#, "lacks"),
            (#"{"__metadata__":{"a":"1","a":"2"}}"#, "`a` twice"),
            (#"{"x":{"dtype":"F32","dtype":"F32"}}"#, "`dtype` twice"),
            (#"{"x":{"other":1}}"#, "unknown key `other`"),
            ("{" + String(repeating: "[", count: 100_000), "lacks"),
        ]
        for (header, expected) in faults {
            let text = error(header)
            #expect(text.contains(expected), "\(header.prefix(40)): \(text)")
            #expect(text.hasPrefix("f ") && !text.contains("\n") && text.contains("; "))
        }
        #expect(error("{\(tensor()),\(tensor())}", elements: 4).contains("`x` twice"))
        var invalid = Data(UInt64(7).bytes)
        invalid.append(contentsOf: [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x7B, 0x7D])
        #expect(message { _ = try Safetensors.decode(invalid, path: "f") }.contains("not UTF-8"))
    }

    @Test func tensorsAreChecked() {
        #expect(error("{\(tensor(type: "F8_E4M3"))}", elements: 4).contains("type `F8_E4M3`"))
        #expect(error("{\(tensor("x", "4", "0"))}", elements: 4).contains("end before it begins"))
        #expect(error("{\(tensor(shape: "[2]"))}", elements: 4).contains("4 bytes instead of 8"))
        #expect(error("{\(tensor(shape: "[-1]"))}", elements: 4).contains("natural"))
        #expect(error("{\(tensor(shape: "[01]"))}", elements: 4).contains("natural"))
        #expect(error("{\(tensor(shape: "[1.0]"))}", elements: 4).contains("lacks"))
        let huge = "[4611686018427387904,4611686018427387904]"
        #expect(error("{\(tensor(shape: huge))}", elements: 4).contains("beyond 64 bits"))
        let hidden = "[4611686018427387904,4611686018427387904,0]"
        #expect(error("{\(tensor(shape: hidden, "0", "0"))}").contains("beyond 64 bits"))
        #expect(
            error("{\(tensor(shape: "[99999999999999999999]"))}").contains("number beyond 64 bits"))
        let deep = "[" + [String](repeating: "1", count: 65).joined(separator: ",") + "]"
        #expect(error("{\(tensor(shape: deep))}").contains("more than 64 numbers"))
        #expect(
            error(#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}"#)
                .contains("more than 2 numbers"))
        #expect(
            error(#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#)
                .contains("lacks the dtype"))
    }

    @Test func bytesAreCoveredOnce() {
        #expect(
            error("{\(tensor("a")),\(tensor("b", "2", "6"))}", elements: 6)
                .contains("`b` overlap the tensor before it by 2 bytes"))
        #expect(
            error("{\(tensor("a")),\(tensor("b", "6", "10"))}", elements: 10)
                .contains("hole of 2 bytes before `b`"))
        #expect(error("{\(tensor("a", "2", "6"))}", elements: 6).contains("hole of 2 bytes"))
        #expect(
            error("{\(tensor("a", "9223372036854775800", "9223372036854775804"))}")
                .contains("hole"))
    }

    @Test func filesThatAreNoneAreNamed() throws {
        let folder = try Folder()
        #expect(message { _ = try WeightsFile.read(folder.path) }.contains("is a directory"))
        #expect(
            message { _ = try WeightsFile.read(folder.file("none")) }
                .contains("does not exist; check the path"))
        #expect(message { _ = try WeightsFile.read("/dev/null") }.contains("not a plain file"))
        let contents = [
            ("", "is empty"), ("version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
            ("<!DOCTYPE html>", "web page"), ("hello, world", "is neither safetensors nor"),
        ]
        for (content, expected) in contents {
            try Data(content.utf8).write(to: URL(fileURLWithPath: folder.file("f")))
            #expect(message { _ = try WeightsFile.read(folder.file("f")) }.contains(expected))
        }
    }

    @Test func namesCannotForgeLines() {
        let text = error(#"{"a\nb\u001b[0m":{"dtype":"F99"}}"#)
        #expect(!text.contains("\n") && !text.contains("\u{1B}") && text.contains("\\u{a}"))
    }
}
