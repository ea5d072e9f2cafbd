import ApusTensor
import CDNNL

/// Products of row-major matrices in plain memory, for what the host computes itself. Called from
/// a team's members a product runs on that member alone.
package enum HostMatrix {
    /// c [m, n] = scale * op(a) op(b) + keep * c, where op(a) is [m, k] and op(b) [k, n]; the strides
    /// are those of the rows as they are stored.
    package static func multiply(
        _ m: Int, _ n: Int, _ k: Int, scale: Float = 1, _ a: UnsafePointer<Float>, stride lda: Int,
        transposeA: Bool = false, _ b: UnsafePointer<Float>, stride ldb: Int,
        transposeB: Bool = false, keep: Float = 0, into c: UnsafeMutablePointer<Float>,
        stride ldc: Int
    ) {
        func letter(_ transposed: Bool) -> CChar {
            CChar(bitPattern: UInt8(ascii: transposed ? "T" : "N"))
        }
        let status = dnnl_sgemm(
            letter(transposeA), letter(transposeB), Int64(m), Int64(n), Int64(k), scale, a,
            Int64(lda), b,
            Int64(ldb), keep, c, Int64(ldc))
        precondition(status == dnnl_success, "a matrix product \(m)x\(n)x\(k) is not possible")
    }
}
