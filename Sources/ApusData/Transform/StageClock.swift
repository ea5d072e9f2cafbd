import Foundation

/// What a loader spends its time on.
public enum LoadingStage: String, CaseIterable, Codable, Sendable {
    /// Reading files, or images from memory.
    case read
    /// From files to pixels.
    case decode
    /// Crop, resizing and mirroring, with the normalization where no operation follows.
    case resize
    /// Pointwise operations, with the normalization where it is done in the same pass.
    case color
    case blur
    /// Rotation, cutout, Sobel filter and noise.
    case filter
    /// Normalization in a pass of its own.
    case normalize
    /// Handing out finished batches.
    case batch
}

/// Seconds spent on every stage of loading.
public struct StageTimes: Hashable, Sendable {
    private var seconds = [Double](repeating: 0, count: LoadingStage.allCases.count)

    public init() {}

    public internal(set) subscript(stage: LoadingStage) -> Double {
        get { seconds[stage.index] }
        set { seconds[stage.index] = newValue }
    }

    /// The seconds of all stages together.
    public var total: Double { seconds.reduce(0, +) }

    /// The stage that takes the most; nil if nothing was measured.
    public var longest: LoadingStage? {
        total > 0 ? LoadingStage.allCases.max { self[$0] < self[$1] } : nil
    }

    package static func += (sum: inout StageTimes, other: StageTimes) {
        for stage in LoadingStage.allCases { sum[stage] += other[stage] }
    }

    package static func - (a: StageTimes, b: StageTimes) -> StageTimes {
        var result = a
        for stage in LoadingStage.allCases { result[stage] -= b[stage] }
        return result
    }
}

extension LoadingStage {
    fileprivate var index: Int {
        switch self {
        case .read: 0
        case .decode: 1
        case .resize: 2
        case .color: 3
        case .blur: 4
        case .filter: 5
        case .normalize: 6
        case .batch: 7
        }
    }
}

/// Measures stages that follow each other on one thread.
package struct StageClock {
    private(set) var times = StageTimes()
    private var last = StageClock.now

    /// Starts the next stage without counting what was before.
    mutating func start() { last = Self.now }

    /// Counts the time since the last mark for `stage`.
    mutating func mark(_ stage: LoadingStage) {
        let time = Self.now
        times[stage] += time - last
        last = time
    }

    /// The times so far, which begin again from zero.
    mutating func take() -> StageTimes {
        defer { times = StageTimes() }
        return times
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
    }
}
