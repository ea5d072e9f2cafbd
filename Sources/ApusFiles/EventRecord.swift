/// One event of a TensorBoard event file, as bytes.
///
/// An event is a protocol buffer of three small messages (`Event`, `Summary`, `HistogramProto` in
/// TensorFlow's `event.proto` and `summary.proto`). Writing them takes the few lines below; code generated
/// from the three definitions would be many times as long and bring a library along.
public struct EventRecord: Hashable, Sendable {
    public let bytes: [UInt8]

    /// The first event of every file.
    package static func version(wallTime: Double) -> EventRecord {
        var event = WireWriter()
        event.double(1, wallTime)
        event.string(3, "brain.Event:2")
        return EventRecord(bytes: event.bytes)
    }

    /// Numbers by tag at a step.
    public static func scalars(
        _ values: [(tag: String, value: Double)], step: Int, wallTime: Double
    ) -> EventRecord {
        event(step, wallTime) { summary in
            for (tag, value) in values {
                summary.message(1) {
                    $0.string(1, tag)
                    $0.float(2, Float(value))
                }
            }
        }
    }

    /// A picture: a PNG file of gray (1 channel) or color (3).
    public static func image(
        _ tag: String, png: [UInt8], width: Int, height: Int, channels: Int, step: Int,
        wallTime: Double
    ) -> EventRecord {
        event(step, wallTime) { summary in
            summary.message(1) {
                $0.string(1, tag)
                $0.message(4) {
                    $0.integer(1, height)
                    $0.integer(2, width)
                    $0.integer(3, channels)
                    $0.data(4, png)
                }
            }
        }
    }

    /// How values are spread, in buckets of equal width; values that are not finite are left out.
    public static func histogram(
        _ tag: String, _ values: some Collection<Float>, buckets: Int = 30, step: Int,
        wallTime: Double
    ) -> EventRecord {
        var low = Double.infinity
        var high = -Double.infinity
        var (count, sum, squares) = (0.0, 0.0, 0.0)
        for value in values where value.isFinite {
            let value = Double(value)
            low = min(low, value)
            high = max(high, value)
            count += 1
            sum += value
            squares += value * value
        }
        if count == 0 { (low, high) = (0, 0) }
        let width = high > low ? (high - low) / Double(buckets) : 1
        var counts = [Double](repeating: 0, count: buckets)
        for value in values where value.isFinite {
            counts[min(Int((Double(value) - low) / width), buckets - 1)] += 1
        }
        return event(step, wallTime) { summary in
            summary.message(1) {
                $0.string(1, tag)
                $0.message(5) {
                    $0.double(1, low)
                    $0.double(2, high)
                    $0.double(3, count)
                    $0.double(4, sum)
                    $0.double(5, squares)
                    $0.doubles(6, (1...buckets).map { low + width * Double($0) })
                    $0.doubles(7, counts)
                }
            }
        }
    }

    private static func event(
        _ step: Int, _ wallTime: Double, summary: (inout WireWriter) -> Void
    ) -> EventRecord {
        var event = WireWriter()
        event.double(1, wallTime)
        event.integer(2, step)
        event.message(5, summary)
        return EventRecord(bytes: event.bytes)
    }

    /// The step of an event; nil for bytes that are not one.
    package static func step(of bytes: ArraySlice<UInt8>) -> Int? {
        var rest = bytes
        var step = 0
        while !rest.isEmpty {
            guard let key = WireWriter.takeVarint(&rest) else { return nil }
            switch key & 7 {
            case 0:
                guard let value = WireWriter.takeVarint(&rest) else { return nil }
                if key >> 3 == 2 { step = Int(truncatingIfNeeded: value) }
            case 1:
                guard rest.count >= 8 else { return nil }
                rest = rest.dropFirst(8)
            case 2:
                guard let length = WireWriter.takeVarint(&rest), length <= UInt64(rest.count)
                else { return nil }
                rest = rest.dropFirst(Int(length))
            case 5:
                guard rest.count >= 4 else { return nil }
                rest = rest.dropFirst(4)
            default: return nil
            }
        }
        return step
    }
}

/// The wire format of protocol buffers, as far as events need it.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func integer(_ field: Int, _ value: Int) {
        varint(UInt64(field) << 3)
        varint(UInt64(bitPattern: Int64(value)))
    }

    mutating func double(_ field: Int, _ value: Double) {
        varint(UInt64(field) << 3 | 1)
        fixed(value.bitPattern)
    }

    mutating func float(_ field: Int, _ value: Float) {
        varint(UInt64(field) << 3 | 5)
        fixed(value.bitPattern)
    }

    mutating func string(_ field: Int, _ value: String) { data(field, Array(value.utf8)) }

    mutating func data(_ field: Int, _ value: [UInt8]) {
        varint(UInt64(field) << 3 | 2)
        varint(UInt64(value.count))
        bytes += value
    }

    mutating func doubles(_ field: Int, _ values: [Double]) {
        var packed = WireWriter()
        for value in values { packed.fixed(value.bitPattern) }
        data(field, packed.bytes)
    }

    mutating func message(_ field: Int, _ content: (inout WireWriter) -> Void) {
        var inner = WireWriter()
        content(&inner)
        data(field, inner.bytes)
    }

    private mutating func fixed(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }

    private mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7F) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    static func takeVarint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}
