import Testing
import Wire

@testable import APIGateway

@Test func theSchemaIsReadable() throws {
    _ = try ServiceSchema(text: APIGatewayV2Schema.text)
}
