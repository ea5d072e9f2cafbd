import ApusGraph
import ApusTensor

extension Network {
    /// Two dense layers with about as many parameters as another network.
    static func dense(asLargeAs other: Network, classes: Int) throws -> Network {
        let parameters = Statistics(try other.graph(batch: 1, mode: .inference)).parameters
        return Network("dense", input: other.input) {
            Flatten()
            Dense(max(2, parameters / (other.input.count + classes + 1)))
            Activation(.relu)
            Dense(classes)
        }
    }
}
