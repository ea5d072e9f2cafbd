import ApusData
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import Foundation

/// What someone asked of the lab.
public struct LabOptions: Sendable {
    /// nil for the experiment's own.
    public var minutes: Double?
    public var seeds = 3
    /// One folder an experiment will be in it.
    public var out = "runs/lab"
    /// As `DataSets.open` takes it.
    public var data = "fashion-mnist"
    /// A picture for what looks at one; nil for the cat that the lab brings.
    public var photo: String?
    public var threads = Machine.cores
    /// Removes the shortcuts of all residual networks, to see whether verdicts notice.
    public var sabotage = false

    public init() {}
}

/// What an experiment works with: its time, its seeds, its data, and the memory of what is done.
public final class LabContext {
    public let options: LabOptions
    /// The time it was given, in seconds.
    public let seconds: Double
    public let seeds: [UInt64]
    /// Hears what is going on.
    let report: (String) -> Void
    let shouldStop: () -> Bool
    let cache: JobCache
    private let given: LabData?
    private var opened: LabData?
    /// How every set of training runs was planned, in words.
    private(set) var plans: [String] = []
    /// What was trained, each network once.
    private(set) var networks: [Network] = []

    package init(
        _ options: LabOptions, minutes: Double, folder: LabFolder, data: LabData? = nil,
        shouldStop: @escaping () -> Bool = { false }, report: @escaping (String) -> Void = { _ in }
    ) {
        self.options = options
        seconds = minutes * 60
        seeds = (0..<UInt64(options.seeds)).map { $0 }
        cache = JobCache(folder: folder)
        given = data
        self.shouldStop = shouldStop
        self.report = report
    }

    /// The images; read when first asked for.
    public func data() throws -> LabData {
        if let opened { return opened }
        let data = try given ?? LabData(options.data)
        opened = data
        return data
    }

    /// The engine's settings.
    public var configuration: Session.Configuration {
        var configuration = Session.Configuration()
        configuration.threads = options.threads
        return configuration
    }

    /// A residual network, or the plain one of the same layers where residuals are sabotaged.
    public func residual(_ network: Network) -> Network {
        options.sabotage ? PlainNet.without(network) : network
    }

    /// The result of a job that takes a while: looked up if it was made before. `request` says
    /// everything the result depends on.
    public func once<Request: Codable & Hashable, Result: Codable>(
        _ kind: String, _ request: Request, make: () throws -> Result
    ) throws -> Result {
        if shouldStop() { throw LabInterrupted() }
        return try cache.value(kind, request, make: make)
    }

    func note(plan: String) { plans.append(plan) }

    func note(networks more: [Network]) {
        for network in more where !networks.contains(network) { networks.append(network) }
    }
}
