import Testing
import Wire

@testable import Kinesis

@Test func theSchemaIsReadable() throws {
    _ = try ServiceSchema(text: KinesisSchema.text)
}
