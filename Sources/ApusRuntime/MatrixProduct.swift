import CDNNL

/// Products of matrices in row-major order outside any graph, by oneDNN's matrix kernel.
///
/// Inside a team's parallel region a product runs on its member alone: whoever shares out fixed
/// tiles gets the same bytes for any number of threads.
package enum MatrixProduct {
    /// c = op(a) b' + beta c, where op(a) is [rows, inner], b' is [inner, columns], c is [rows,
    /// columns] and all three lie without gaps.
    ///
    /// - Parameters:
    ///   - transposeA: `a` is stored as [inner, rows]
    ///   - transposeB: `b` is stored as [columns, inner]
    package static func multiply(
        _ a: UnsafePointer<Float>, transposeA: Bool = false, _ b: UnsafePointer<Float>,
        transposeB: Bool = false, into c: UnsafeMutablePointer<Float>, rows: Int, inner: Int,
        columns: Int, beta: Float = 0
    ) {
        guard rows > 0, columns > 0, inner > 0 else { return }
        let status = dnnl_sgemm(
            transposeA ? letter("T") : letter("N"), transposeB ? letter("T") : letter("N"),
            dnnl_dim_t(rows), dnnl_dim_t(columns), dnnl_dim_t(inner), 1, a,
            dnnl_dim_t(transposeA ? rows : inner), b, dnnl_dim_t(transposeB ? inner : columns),
            beta, c, dnnl_dim_t(columns))
        precondition(status == dnnl_success, "a product of matrices cannot fail")
    }

    private static func letter(_ scalar: Unicode.Scalar) -> CChar {
        CChar(truncatingIfNeeded: scalar.value)
    }
}
