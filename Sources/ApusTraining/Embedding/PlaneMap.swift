import ApusTensor

/// How an embedding is brought to the plane.
public enum MapMethod: String, Hashable, Codable, Sendable, CaseIterable {
    /// The two directions of largest variance: distances are true, what is alike may overlap.
    case pca
    /// Neighbors stay neighbors: clusters show, distances between them mean nothing.
    case tsne
}

extension Embedding {
    /// A place in the plane for some of the images.
    public struct PlaneMap: Hashable, Sendable {
        public var method: MapMethod
        /// The rows that are shown.
        public var rows: [Int]
        /// [rows, 2].
        public var places: Tensor
        /// The share of the variance that the two directions of `pca` show.
        public var varianceShare: Double?
    }

    /// Places up to `limit` images, drawn by `seed` where there are more.
    ///
    /// For `tsne` vectors are reduced to at most 50 principal components first, as van der Maaten and
    /// Hinton do, and compared by their angle as seen from the mean: features behind a rectifier all
    /// point much the same way from zero. When `shouldStop` says yes, a `CancellationError` is
    /// thrown.
    public func map(
        _ method: MapMethod, limit: Int, seed: UInt64 = 0, perplexity: Double = 30, threads: Int,
        progress: (Int, _ of: Int) -> Void = { _, _ in }, shouldStop: () -> Bool = { false }
    ) throws -> PlaneMap {
        let key = RandomKey(seed: seed).child("map")
        let rows =
            count <= limit ? Array(0..<count) : key.permutation(count).prefix(limit).sorted()
        let vectors = Tensor(
            [rows.count, width],
            rows.flatMap { features.elements[$0 * width..<($0 + 1) * width] })
        switch method {
        case .pca:
            let components = PrincipalComponents(vectors, count: 2)
            let found = components.project(vectors)
            let places =
                components.components.shape[0] == 2
                ? found : Tensor([rows.count, 2], found.elements.flatMap { [$0, 0] })
            let total = components.totalVariance
            return PlaneMap(
                method: method, rows: rows, places: places,
                varianceShare: total > 0 ? components.variances.reduce(0, +) / total : nil)
        case .tsne:
            let reduced = PrincipalComponents(vectors, count: 50).project(vectors)
            var map = NeighborMap()
            map.perplexity = perplexity
            map.threads = threads
            return PlaneMap(
                method: method, rows: rows,
                places: try map.place(
                    reduced, progress: { progress($0, map.iterations) }, shouldStop: shouldStop))
        }
    }
}
