import ApusRuntime
import Foundation
import Testing

/// Limits of containers are read from files like Linux's.
@Suite struct ControlGroupsTests {
    private let root = FileManager.default.temporaryDirectory
        .appending(path: "apus-groups-\(UUID().uuidString)")

    private func groups(_ list: String, _ files: [String: String]) throws -> ControlGroups {
        defer { try? FileManager.default.removeItem(at: root) }
        for (name, text) in files {
            let file = root.appending(path: name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return ControlGroups(list: list, root: root.path)
    }

    @Test func versionTwoTakesTheLeastOfAllGroupsAbove() throws {
        let found = try groups(
            "0::/user/job\n",
            [
                "user/job/memory.max": "max\n", "user/memory.max": "2147483648\n",
                "memory.max": "4294967296\n", "user/job/cpu.max": "250000 100000\n",
                "user/cpu.max": "max 100000\n",
            ])
        #expect(found.memoryBytes == 2 << 30)
        #expect(found.cores == 2.5)
    }

    @Test func versionOneHasATreeForEveryController() throws {
        let found = try groups(
            "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\n",
            [
                "memory/docker/a/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/memory.limit_in_bytes": "1073741824\n",
                "cpu/docker/a/cpu.cfs_quota_us": "-1\n",
                "cpu/docker/a/cpu.cfs_period_us": "100000\n",
                "cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n",
            ])
        #expect(found.memoryBytes == 1 << 30)
        #expect(found.cores == 0.5)
    }

    @Test func nothingIsNoLimit() throws {
        let nothing = try groups("", [:])
        #expect(nothing.memoryBytes == nil && nothing.cores == nil)
        let odd = try groups(
            "0::/\nodd\n:::::\n", ["memory.max": "much", "cpu.max": "0 0"])
        #expect(odd == nothing)
        #expect(Machine.cores >= 1 && Machine.memoryBytes > 1 << 20)
    }
}
