import ApusFiles
import ApusGraph
import ApusTensor
import Foundation
import SwiftProtobuf

/// Why a network cannot become an ONNX model: one line with the layer and the remedy.
public struct ONNXError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A network with its weights in the Open Neural Network Exchange format, operator set 17.
///
/// The input `images` and the output `logits` have a batch of any size. Initializers carry the names
/// of the parameters.
public struct ONNXModel: Sendable {
    /// The operator set the nodes are of: the first to have all of them in their present form.
    public static let operatorSet = 17
    /// The version of the format that belongs to the operator set.
    static let formatVersion: Int64 = 8
    /// What protocol buffers can hold.
    static let maximumByteCount = Int(Int32.max)

    package let message: ONNXModelProto

    /// Lowers `graph`, one for use after training, whose only input is `images` and which may have
    /// normalizations folded into convolutions (`ConvolutionFusion`).
    ///
    /// `weights` gives parameters and buffers by name, and `metadata` is stored beside the network.
    /// Throws an `ONNXError` for operations that are not part of using a network.
    public init(
        _ graph: Graph, name: String, metadata: [String: String] = [:],
        weights: (String) -> Tensor?
    ) throws {
        var lowering = ONNXLowering(graph)
        message = try ONNXModelProto.with {
            $0.irVersion = Self.formatVersion
            $0.producerName = "Apus"
            $0.opsetImport = [.with { $0.version = Int64(Self.operatorSet) }]
            $0.graph = try lowering.lower(name: name, weights: weights)
            $0.metadataProps = metadata.sorted { $0.key < $1.key }.map { key, value in
                .with {
                    $0.key = key
                    $0.value = value
                }
            }
        }
    }

    /// The bytes of the file.
    public func encoded() throws -> Data {
        let weights = message.graph.initializer.reduce(0) { $0 + $1.rawData.count }
        guard weights < Self.maximumByteCount - 1 << 24 else {
            throw ONNXError(
                "\(weights >> 20) MiB of weights do not fit one ONNX file, which holds less than "
                    + "2 GiB; convert a smaller network")
        }
        return try message.serializedData()
    }

    /// Writes the file, atomically.
    public func write(to path: String) throws {
        let data = try encoded()
        try AtomicFile.write(to: path) { try $0.write(data) }
    }
}
