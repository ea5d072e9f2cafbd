import ApusData
import ApusRuntime
import ApusTensor
import Foundation

/// What a probe tells whoever watches.
public enum ProbeEvent: Sendable {
    /// So many of the images of a split were represented, by the trained or the random encoder.
    case features(Split, isRandom: Bool, done: Int, of: Int)
    /// Linear classifiers are fitted.
    case fitting(ProbePart)
    /// Nearest neighbors are looked for.
    case searching(ProbePart)
    /// A network is trained: for a result, or to choose a learning rate.
    case training(ProbePart, isTrial: Bool, StepReport)
    case result(ProbeResult)
}

/// Judges an encoder by labelled images so that the numbers mean what they say.
///
/// - Frozen means frozen: weights and batch-norm statistics are hashed before and after.
/// - Nothing is chosen on the test images. They are read when everything is chosen, once for all
///   that one encoder's frozen features are asked, once for a fine-tuned network.
/// - Every test image counts once.
///
/// Every finished part is written to `results.json`, and an interrupted probe goes on from there.
public final class Prober {
    public private(set) var report: ProbeReport
    private let encoder: FeatureEncoder
    private let train: any ImageSource
    private let test: any ImageSource
    private let folder: String
    private let configuration: Session.Configuration
    private var settings: ProbeSettings { report.settings }

    /// Opens or makes the folder. Reads no image.
    public init(
        _ encoder: FeatureEncoder, settings: ProbeSettings, train: any ImageSource,
        test: any ImageSource, folder: String, configuration: Session.Configuration = .init()
    ) throws {
        try settings.validate()
        guard train.classNames == test.classNames else {
            throw TrainingError(
                "\(settings.data) has \(train.classNames.count) classes to train on and "
                    + "\(test.classNames.count) to test on; give splits of the same classes")
        }
        guard train.classNames.count >= 2 else {
            throw TrainingError(
                "\(settings.data) has one class, so there is nothing to tell apart; give labelled "
                    + "images with --data")
        }
        self.encoder = encoder
        self.train = train
        self.test = test
        self.folder = folder
        var configuration = configuration
        configuration.threads = settings.threads
        configuration.precision = settings.precision
        self.configuration = configuration
        report = try ProbeReport(encoder: encoder, settings: settings).continued(in: folder)
        do {
            try FileManager.default.createDirectory(
                atPath: folder + "/runs", withIntermediateDirectories: true)
        } catch {
            throw TrainingError(
                "cannot make the folder \(folder): \(error.localizedDescription); choose another "
                    + "with --out")
        }
    }

    /// Measures what is not measured yet. When `shouldStop` says yes, a `CancellationError` is
    /// thrown; what is finished is kept.
    public func run(
        shouldStop: () -> Bool = { false }, onEvent: (ProbeEvent) -> Void = { _ in }
    ) throws -> ProbeReport {
        try withoutActuallyEscaping(shouldStop) { shouldStop in
            try withoutActuallyEscaping(onEvent) { onEvent in
                try measureFrozen(encoder, isRandom: false, settings.seeds, shouldStop, onEvent)
                if settings.comparesRandom {
                    for seed in settings.seeds {
                        try measureFrozen(
                            encoder.redrawn(seed: seed), isRandom: true, [seed], shouldStop,
                            onEvent)
                    }
                }
                for percent in settings.fineTune {
                    for isRandom in [false, true] where !isRandom || settings.comparesSupervised {
                        try measureTrained(percent, isRandom: isRandom, shouldStop, onEvent)
                    }
                }
            }
        }
        try report.write(in: folder)
        return report
    }

    // MARK: Frozen features

    private func measureFrozen(
        _ encoder: FeatureEncoder, isRandom: Bool, _ seeds: [UInt64],
        _ shouldStop: () -> Bool, _ onEvent: (ProbeEvent) -> Void
    ) throws {
        let linear = seeds.map { ProbePart(.linear, isRandom: isRandom, seed: $0) }
            .filter { settings.linear && !report.has($0) }
        // Neighbors depend on chance only by the encoder.
        let neighbors = [
            ProbePart(.neighbors, isRandom: isRandom, seed: isRandom ? seeds.first : nil)
        ].filter { settings.neighbors && !report.has($0) }
        if linear.isEmpty && neighbors.isEmpty { return }

        let results = try encoder.whileFrozen {
            let extractor = try FeatureExtractor(
                encoder, layer: settings.layer, batch: 128, configuration: configuration)
            func features(_ split: Split) throws -> LabelledFeatures {
                let source = split == .train ? train : test
                return try extractor.features(
                    of: source, workers: min(4, settings.threads),
                    progress: { done in
                        onEvent(.features(split, isRandom: isRandom, done: done, of: source.count))
                    }, shouldStop: shouldStop)
            }
            let known = try features(.train)
            let fits = try linear.map { part in
                onEvent(.fitting(part))
                var probe = LinearProbe()
                probe.seed = part.seed ?? 0
                probe.threads = settings.threads
                return try probe.fit(known, shouldStop: shouldStop)
            }
            // From here on nothing is chosen any more.
            let unknown = try features(.test)
            var results = zip(linear, fits).map { part, fit in
                var result = result(part, known, fit.classifier.accuracy(unknown), unknown.count)
                result.penalty = fit.penalty
                result.heldOutAccuracy = fit.heldOutAccuracy
                return result
            }
            for part in neighbors {
                onEvent(.searching(part))
                let classifier = WeightedNeighbors(known, threads: settings.threads)
                results.append(
                    result(part, known, classifier.accuracy(unknown), unknown.count))
            }
            return results
        }
        try keep(results, onEvent)
    }

    private func result(
        _ part: ProbePart, _ known: LabelledFeatures, _ accuracy: Double, _ testImages: Int
    ) -> ProbeResult {
        var counts = [Int](repeating: 0, count: known.classes)
        for label in known.labels { counts[Int(label)] += 1 }
        return ProbeResult(
            part: part, accuracy: accuracy, testImages: testImages, labels: known.count,
            labelsByClass: counts)
    }

    private func keep(_ results: [ProbeResult], _ onEvent: (ProbeEvent) -> Void) throws {
        report.results += results
        try report.write(in: folder)
        for result in results { onEvent(.result(result)) }
    }

    // MARK: Training

    private func measureTrained(
        _ percent: Double, isRandom: Bool, _ shouldStop: @escaping () -> Bool,
        _ onEvent: @escaping (ProbeEvent) -> Void
    ) throws {
        let method = isRandom ? ProbeMethod.supervised : .fineTuned
        let parts = settings.seeds.map {
            ProbePart(method, isRandom: isRandom, percent: percent, seed: $0)
        }
        guard parts.contains(where: { !report.has($0) }) else { return }
        let labels = (0..<train.count).map { Int32(train.label(at: $0)) }

        func subset(_ seed: UInt64) -> SubsetSource {
            SubsetSource(
                train,
                indices: BalancedSubset.draw(
                    percent / 100, of: labels, classes: train.classNames.count,
                    key: RandomKey(seed: seed).child("labels")))
        }
        func tuner(_ part: ProbePart, isTrial: Bool) -> FineTuner {
            FineTuner(
                encoder: encoder, settings: settings, folder: folder + "/runs",
                configuration: configuration, shouldStop: shouldStop
            ) { onEvent(.training(part, isTrial: isTrial, $0)) }
        }
        let start = isRandom ? nil : encoder
        let name = "\(method.rawValue)-\(percent)"
        let first = settings.seeds[0]
        let rate = try chooseRate(parts[0], subset(first)) { kept, heldOut, rate in
            try tuner(parts[0], isTrial: true).accuracy(
                "\(name)-rate-\(rate)", train: kept, test: heldOut, start: start, percent: percent,
                rate: rate, seed: first
            ).accuracy
        }
        for (part, seed) in zip(parts, settings.seeds) where !report.has(part) {
            let seen = subset(seed)
            let (accuracy, steps) = try tuner(part, isTrial: false).accuracy(
                "\(name)-seed-\(seed)", train: seen, test: test, start: start, percent: percent,
                rate: rate, seed: seed)
            try keep(
                [
                    ProbeResult(
                        part: part, accuracy: accuracy, testImages: test.count,
                        labels: seen.count, labelsByClass: seen.countsByClass, learningRate: rate,
                        heldOutAccuracy: report.trials
                            .first { $0.part == parts[0] && $0.learningRate == rate }?
                            .heldOutAccuracy,
                        steps: steps)
                ], onEvent)
        }
    }

    /// The rate that does best on a fifth of the labels of the first seed, which are held out; of
    /// equal ones the first.
    private func chooseRate(
        _ part: ProbePart, _ labelled: SubsetSource,
        _ accuracy: (SubsetSource, SubsetSource, Float) throws -> Double
    ) throws -> Float {
        guard settings.rates.count > 1 else { return settings.rates[0] }
        let (kept, heldOut) = BalancedSubset.holdOut(
            0.2, of: labelled.indices.map { Int32(train.label(at: $0)) },
            classes: train.classNames.count,
            key: RandomKey(seed: settings.seeds[0]).child("rate"))
        guard !heldOut.isEmpty else {
            throw TrainingError(
                "\(part.percent) % of the labels are one a class, too few to choose a learning rate "
                    + "on; give a single one with --rates or a larger part")
        }
        func images(_ indices: [Int]) -> SubsetSource {
            SubsetSource(train, indices: indices.map { labelled.indices[$0] })
        }
        for rate in settings.rates {
            let isKnown = report.trials.contains { $0.part == part && $0.learningRate == rate }
            if isKnown { continue }
            report.trials.append(
                RateTrial(
                    part: part, learningRate: rate,
                    heldOutAccuracy: try accuracy(images(kept), images(heldOut), rate)))
            try report.write(in: folder)
        }
        let own = report.trials.filter {
            $0.part == part && settings.rates.contains($0.learningRate)
        }
        return own.max { $0.heldOutAccuracy < $1.heldOutAccuracy }?.learningRate
            ?? settings.rates[0]
    }
}
