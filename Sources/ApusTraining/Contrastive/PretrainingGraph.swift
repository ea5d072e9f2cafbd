import ApusGraph
import ApusTensor

/// The graphs of a pretraining step. The encoder's parameters have their own names, the head's begin
/// with `head.`, the predictor's with `predictor.`.
package struct PretrainingGraph {
    let recipe: PretrainingRecipe

    package init(_ recipe: PretrainingRecipe) { self.recipe = recipe }

    /// From both views of `images` images to `projection`, what the loss sees, whose gradient the
    /// caller gives.
    package func online(images: Int) throws -> Graph {
        var builder = GraphBuilder(mode: .training)
        var z = try project(&builder, images)
        if let predictor = recipe.predictor {
            z = try builder.append(predictor.layers, to: z, path: "predictor")
        }
        builder.seededOutput("projection", z)
        return builder.graph
    }

    /// BYOL's target: the same without the predictor and without gradients.
    package func target(images: Int) throws -> Graph {
        var builder = GraphBuilder(mode: .training)
        builder.output("projection", try project(&builder, images))
        return builder.graph
    }

    private func project(_ builder: inout GraphBuilder, _ images: Int) throws -> ValueID {
        let shape = Shape([2 * images] + recipe.encoder.input.dimensions)
        let x = builder.input("images", shape)
        let h = try builder.append(recipe.encoder.layers, to: x)
        return try builder.append(recipe.head.layers, to: h, path: "head")
    }
}
