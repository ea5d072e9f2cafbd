import ApusRuntime
import Testing

/// What the machine says of itself agrees with what it does.
@Suite struct MachineTests {
    @Test func tilesAreThereWhereLinuxListsThem() {
        let features = Machine.features
        #expect(!Machine.hasAMX || features.isSuperset(of: ["amx_tile", "amx_bf16"]))
        if !features.contains("amx_bf16") { #expect(!Machine.hasAMX) }
        if Machine.hasAMX { #expect(Machine.prefersBFloat16) }
        if !Machine.hasBFloat16 { #expect(!Machine.prefersBFloat16) }
    }

    /// Peaks are what steps are compared with: that of tiles, where they are used, is far above the rest.
    @Test func peaksAreInOrder() throws {
        let speed = MachineSpeed(threads: 1)
        #expect(speed.float32GFLOPS > 1 && speed.bandwidthGBs > 0.1)
        #expect((speed.bfloat16GFLOPS != nil) == Machine.hasBFloat16)
        if Machine.hasAMX {
            let halves = try #require(speed.bfloat16GFLOPS)
            #expect(halves > 1.5 * speed.float32GFLOPS)
        }
    }
}
