import Foundation

/// What Linux's control groups leave this process: containers are limited by them, and the machine's
/// own numbers say nothing of it.
///
/// Version 2 keeps all limits in one tree, version 1 one tree a controller; a group's limits hold for
/// the groups below it. See https://docs.kernel.org/admin-guide/cgroup-v2.html.
package struct ControlGroups: Hashable, Sendable {
    /// The most bytes of memory; nil without a limit.
    package private(set) var memoryBytes: Int?
    /// The most processor time, in cores; nil without a limit.
    package private(set) var cores: Double?

    /// Of this process.
    package static let own = ControlGroups(
        list: (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? "",
        root: "/sys/fs/cgroup")

    /// - Parameters:
    ///   - list: lines of a number, controllers and the group's path, such as `4:memory:/user`; without
    ///     controllers it is the tree of version 2
    ///   - root: where the trees are mounted
    package init(list: String, root: String) {
        for line in list.split(separator: "\n") {
            let fields = line.split(
                separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let controllers = fields[1].split(separator: ",")
            // Inside a container the path may be one of the world outside; the container's own group
            // is what is mounted at the top.
            var path = fields[2].split(separator: "/").joined(separator: "/")
            while true {
                if controllers.isEmpty { limit("\(root)/\(path)") }
                if controllers.contains("memory") { limit("\(root)/memory/\(path)") }
                if controllers.contains("cpu") { limit("\(root)/cpu/\(path)") }
                if path.isEmpty { break }
                path = path.split(separator: "/").dropLast().joined(separator: "/")
            }
        }
    }

    /// Applies the limits of the group in a folder, of either version.
    private mutating func limit(_ folder: String) {
        func numbers(_ name: String) -> [Int?] {
            let text = (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)) ?? ""
            // "max" and -1 are no limit.
            return text.split(whereSeparator: \.isWhitespace).map { Int($0) }
        }
        for name in ["memory.max", "memory.limit_in_bytes"] {
            if let bytes = numbers(name).first ?? nil, bytes > 0 {
                memoryBytes = min(memoryBytes ?? bytes, bytes)
            }
        }
        for time in [
            numbers("cpu.max"), numbers("cpu.cfs_quota_us") + numbers("cpu.cfs_period_us"),
        ] where time.count == 2 {
            if let quota = time[0], let period = time[1], quota > 0, period > 0 {
                cores = min(cores ?? .infinity, Double(quota) / Double(period))
            }
        }
    }
}
