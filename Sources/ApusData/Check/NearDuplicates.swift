/// Finds images that look alike, without comparing every one with every other.
///
/// Hashes that differ in at most `distance` bits agree in at least one of `distance + 1` bands of bits,
/// so only those that share a band are compared. Alike are images whose hashes are so close and whose
/// small images differ by at most `difference` on average.
package struct NearDuplicates {
    package static let distance = 4
    package static let difference = 6.0

    /// Groups of positions in `hashes`, each group and all groups in rising order.
    package static func groups(_ hashes: [PerceptualHash]) -> [[Int]] {
        var sets = DisjointSets(count: hashes.count)
        for band in bands {
            // Positions in the order of the band, so that equal ones are neighbors.
            let order = hashes.indices.sorted {
                let (a, b) = (hashes[$0].bits & band, hashes[$1].bits & band)
                return a == b ? $0 < $1 : a < b
            }
            var start = 0
            while start < order.count {
                let key = hashes[order[start]].bits & band
                let end =
                    order[start...].firstIndex { hashes[$0].bits & band != key } ?? order.count
                for i in start..<end {
                    for j in i + 1..<max(end, i + 1) where isAlike(hashes, order[i], order[j]) {
                        sets.join(order[i], order[j])
                    }
                }
                start = end
            }
        }
        return sets.groups.filter { $0.count > 1 }
    }

    private static func isAlike(_ hashes: [PerceptualHash], _ i: Int, _ j: Int) -> Bool {
        (hashes[i].bits ^ hashes[j].bits).nonzeroBitCount <= distance
            && hashes[i].difference(hashes[j]) <= difference
    }

    /// Masks of bits taken in turn: neighbors in the image fall into different bands.
    private static let bands: [UInt64] = (0...distance).map { band in
        stride(from: band, to: 64, by: distance + 1).reduce(0) { $0 | 1 << UInt64($1) }
    }
}

/// Positions that belong together.
private struct DisjointSets {
    private var parents: [Int]

    init(count: Int) { parents = Array(0..<count) }

    private mutating func root(_ position: Int) -> Int {
        var position = position
        while parents[position] != position {
            parents[position] = parents[parents[position]]
            position = parents[position]
        }
        return position
    }

    mutating func join(_ a: Int, _ b: Int) {
        let (a, b) = (root(a), root(b))
        // The first of a group stands for it.
        parents[max(a, b)] = min(a, b)
    }

    var groups: [[Int]] {
        var copy = self
        var members: [Int: [Int]] = [:]
        for position in parents.indices {
            members[copy.root(position), default: []].append(position)
        }
        return members.values.sorted { $0[0] < $1[0] }
    }
}
