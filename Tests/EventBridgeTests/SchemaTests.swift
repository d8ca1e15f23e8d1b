import Testing
import Wire

@testable import EventBridge

@Test func theSchemaIsReadable() throws {
    _ = try ServiceSchema(text: EventBridgeSchema.text)
}
