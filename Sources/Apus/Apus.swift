@_exported import ApusCompiler
@_exported import ApusData
@_exported import ApusFiles
@_exported import ApusGraph
@_exported import ApusModels
@_exported import ApusRuntime
@_exported import ApusTensor
@_exported import ApusTraining
