import ApusGraph
import ApusTensor
import Foundation

/// Makes the messages of which an ONNX graph consists.
extension ONNXTensorProto {
    /// Floats.
    static func floats(_ name: String, _ tensor: Tensor) -> ONNXTensorProto {
        .with {
            $0.name = name
            $0.dims = tensor.shape.dimensions.map(Int64.init)
            $0.dataType = Int32(DataType.float.rawValue)
            $0.rawData = tensor.elements.withUnsafeBytes { Data($0) }
        }
    }

    /// A list of integers.
    static func integers(_ name: String, _ values: [Int64]) -> ONNXTensorProto {
        .with {
            $0.name = name
            $0.dims = [Int64(values.count)]
            $0.dataType = Int32(DataType.int64.rawValue)
            $0.rawData = values.withUnsafeBytes { Data($0) }
        }
    }
}

extension ONNXAttributeProto {
    static func float(_ name: String, _ value: Float) -> ONNXAttributeProto {
        .with {
            $0.name = name
            $0.type = .float
            $0.f = value
        }
    }

    static func int(_ name: String, _ value: Int) -> ONNXAttributeProto {
        .with {
            $0.name = name
            $0.type = .int
            $0.i = Int64(value)
        }
    }

    static func ints(_ name: String, _ values: [Int]) -> ONNXAttributeProto {
        .with {
            $0.name = name
            $0.type = .ints
            $0.ints = values.map(Int64.init)
        }
    }
}

extension ONNXValueInfoProto {
    /// A value of floats [batch, ...] with any batch.
    static func batched(_ name: String, _ shape: Shape) -> ONNXValueInfoProto {
        let rest = shape.dimensions.dropFirst().map { count in
            ONNXTensorShapeProto.Dimension.with { $0.dimValue = Int64(count) }
        }
        return .with {
            $0.name = name
            $0.type.tensorType.elemType = Int32(ONNXTensorProto.DataType.float.rawValue)
            $0.type.tensorType.shape.dim = [.with { $0.dimParam = "batch" }] + rest
        }
    }
}

extension Window {
    /// The window as attributes. ONNX lists the edges where axes begin, then where they end.
    func attributes(dilations: Bool) -> [ONNXAttributeProto] {
        [
            .ints("kernel_shape", [kernel.height, kernel.width]),
            .ints("strides", [stride.height, stride.width]),
            .ints("pads", [padding.top, padding.left, padding.bottom, padding.right]),
        ] + (dilations ? [.ints("dilations", [dilation.height, dilation.width])] : [])
    }
}
