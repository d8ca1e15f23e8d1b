/// Every bound of Alexa skills, with its unit and where it comes from. "Own" is a bound of this server, where Amazon documents
/// none.
enum Limits {
    // MARK: What clients send

    /// Body of a request in bytes: Amazon's interaction models are at most 1.5 MB; own for everything else.
    static let bodyBytes = 1_572_864
    /// Depth of a manifest or model. Own: Amazon's schemas are at most 12 deep.
    static let depth = 64
    /// Skills of the vendor. Own.
    static let skills = 1_000
    /// A manifest in bytes, as stored. Own.
    static let manifestBytes = 262_144
    /// Locales of a skill: Amazon has 17; own.
    static let locales = 32
    /// Intents, slot types, slots of an intent, values and samples of a model. Own, but for values: Amazon's 50,000.
    static let intents = 1_000
    static let slotTypes = 500
    static let slotsPerIntent = 100
    static let values = 50_000
    static let samples = 50_000
    /// Characters of one sample (Amazon: 1,000 for slots' samples; own).
    static let sampleCharacters = 1_000
    /// Problems of a model that are told. Own.
    static let problems = 50
    /// Versions of a model that are kept (SMAPI keeps all; own).
    static let versions = 20
    /// Skills of one page, and by default (SMAPI: maxResults at most 50).
    static let pageSize = 50

    // MARK: Utterances

    /// An utterance in characters, and the words of it that are looked at. Own.
    static let utteranceCharacters = 1_000
    static let words = 60
    /// Words that a slot takes up which names no known value. Own.
    static let freeSlotWords = 12
    /// Steps of matching one utterance with a model: about a second. Own.
    static let matchingSteps = 5_000_000
    /// Intents that an answer tells as considered. Own.
    static let consideredIntents = 5
    /// Compiled models that are kept in memory. Own.
    static let cachedModels = 32

    // MARK: Skills' answers (Amazon, "Request and Response JSON Reference")

    /// How long a skill may take.
    static let responseTime = Duration.seconds(8)
    /// A response in bytes: "The total size of your response can't exceed 120 kilobytes." The page said 24 kilobytes until 2019
    /// (alexa-js/alexa-app issue 168, litexa issue 44), which older texts still quote.
    static let responseBytes = 122_880
    /// Characters of the speech, and of all text of a card.
    static let speechCharacters = 8_000
    static let cardCharacters = 8_000
    static let imageURLCharacters = 2_000
    /// Characters of the token and of the URL of AudioPlayer.Play.
    static let playTokenCharacters = 1_024
    static let playURLCharacters = 8_000
    /// Bytes of the payload of CustomInterfaceController.SendDirective.
    static let gadgetPayloadBytes = 1_000
    /// Values of one Dialog.UpdateDynamicEntities.
    static let dynamicEntities = 100
    /// `<audio>` of one speech ("SSML Reference").
    static let audioClips = 5
    /// Bytes of what a Smart Home skill answers; own (discovery of 300 endpoints is within).
    static let smartHomeResponseBytes = 1 << 20
    /// Directives of one response. Own.
    static let directives = 100
    /// Requests to the skill for one utterance: a dialog that is delegated goes on by itself. Own.
    static let requestsPerTurn = 6

    // MARK: What is kept

    /// How long a conversation that nobody goes on with is kept. Alexa closes the microphone after 8 s and the session with it;
    /// whoever tests types slower.
    static let sessionAge = Duration.seconds(1_800)
    /// Conversations and results of simulations that are kept, the newest. Own.
    static let sessions = 1_000
    static let simulations = 1_000
    /// How long a result can be asked for. Own.
    static let simulationAge = Duration.seconds(3_600)
    /// Simulations and invocations at once; more are answered 429. Own.
    static let concurrentTurns = 64

    // MARK: Access

    /// Lifetime of an access token (Login with Amazon).
    static let tokenLifetime = Duration.seconds(3_600)
    /// Body of a token request, bytes. Own.
    static let tokenRequestBytes = 16_384
    /// Lifetime of the certificate that requests are signed under. Own.
    static let certificateLifetime = Duration.seconds(20 * 365 * 86_400)
}
