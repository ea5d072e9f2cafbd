import Apus

extension ScaleCommand {
    /// Prints the networks at these phi.
    func report(_ model: ScalableModel, _ phis: [Double]) throws {
        var lines: [ScaleLine] = []
        for phi in phis {
            let point = scaling.at(phi)
            lines.append(try line(model, point, dimension.rawValue))
            guard compare, phi != 0 else { continue }
            for (name, single) in [
                ("depth", CompoundScaling.depthOnly), ("width", .widthOnly),
                ("resolution", .resolutionOnly),
            ] {
                let limit = Double(lines[lines.count - 1].multiply_adds) * 1.0001
                let largest = try model.largest(along: single, within: limit) {
                    try cost(.multiplyAdds, $0)
                }
                if let largest {
                    lines.insert(
                        try line(model, single.at(largest.phi), name), at: lines.count - 1)
                }
            }
        }
        if json {
            for line in lines { try printJSON(line) }
        } else {
            table(lines).print()
            print("\nmultiply-adds are those of convolutions and matrix products")
        }
    }

    private func line(
        _ base: ScalableModel, _ point: CompoundScaling, _ dimension: String
    ) throws -> ScaleLine {
        let model = base.scaled(point.factors)
        let network = model.network()
        var line = ScaleLine(
            base: base.name, dimension: dimension, phi: point.phi, depth: point.factors.depth,
            width: point.factors.width, resolution: point.factors.resolution,
            depths: model.stages.map(\.depth), widths: model.stages.map(\.width),
            input: model.input, parameters: Int(try cost(.parameters, network)),
            multiply_adds: Int(try cost(.multiplyAdds, network)),
            step_bytes: Int(try cost(.stepBytes, network)), batch: batch)
        if measure || within?.cost.isMeasured == true {
            line.inference_batch = inferenceBatch
            line.inference_ms = try cost(.inferenceTime, network)
        }
        if measure || within?.cost == .stepTime { line.step_ms = try cost(.stepTime, network) }
        return line
    }

    private func table(_ lines: [ScaleLine]) -> Table {
        let isTimed = lines.contains { $0.inference_ms != nil || $0.step_ms != nil }
        var table = Table(
            columns: [
                ("scaled", .left), ("phi", .right), ("depth", .right), ("width", .right),
                ("resolution", .right), ("input", .left), ("blocks", .left), ("widths", .left),
                ("parameters (M)", .right), ("multiply-adds (G)", .right),
                ("step of \(batch)", .right),
            ] + (isTimed ? [("inference (ms)", .right), ("step (ms)", .right)] : []))
        for line in lines {
            table.add(
                row: [
                    line.dimension, format(line.phi, 2), format(line.depth, 3),
                    format(line.width, 3), format(line.resolution, 3), line.input.description,
                    line.depths.map(String.init).joined(separator: " "),
                    line.widths.map(String.init).joined(separator: " "),
                    format(Double(line.parameters) / 1e6, 2),
                    format(Double(line.multiply_adds) / 1e9, 3), Readable.bytes(line.step_bytes),
                    line.inference_ms.map { format($0, 1) } ?? "",
                    line.step_ms.map { format($0, 1) } ?? "",
                ])
        }
        return table
    }
}

/// The names are those other tools read.
private struct ScaleLine: Encodable {
    var base: String
    var dimension: String
    var phi: Double
    /// Multipliers of the base.
    var depth: Double
    var width: Double
    var resolution: Double
    /// Blocks and channels of every stage, from the stem on.
    var depths: [Int]
    var widths: [Int]
    var input: Shape
    var parameters: Int
    var multiply_adds: Int
    /// Of a training step of `batch` images.
    var step_bytes: Int
    var batch: Int
    var inference_batch: Int?
    var inference_ms: Double?
    var step_ms: Double?
}
