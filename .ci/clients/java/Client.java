import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Registers, signs in, asks who it is and refreshes, with the defaults of the JDK's client. */
public class Client {
  private static final String TOKENS = "... on SignedIn { tokens { accessToken refreshToken } }";
  private static final HttpClient HTTP = HttpClient.newHttpClient();
  private static final URI ENDPOINT = URI.create(System.getenv("PORTICO_URL") + "/graphql");

  public static void main(String[] arguments) throws Exception {
    String email = "jvm-" + UUID.randomUUID() + "@example.com";
    String credentials = "{email: \"" + email + "\", password: \"correct horse battery staple\"}";

    ask("mutation { register(input: " + credentials + ") { " + TOKENS + " } }", null, "accessToken");
    String signedIn =
        ask("mutation { login(input: " + credentials + ") { " + TOKENS + " } }", null, "accessToken");
    ask("{ me { email } }", value("accessToken", signedIn), email);

    String input = "{refreshToken: \"" + value("refreshToken", signedIn) + "\"}";
    String refreshed =
        ask("mutation { refreshSession(input: " + input + ") { " + TOKENS + " } }", null, "accessToken");
    ask("{ me { email } }", value("accessToken", refreshed), email);
    System.out.println("The JVM's client registered, signed in, asked, refreshed and asked again.");
  }

  private static String ask(String query, String token, String expected) throws Exception {
    String body = "{\"query\": \"" + query.replace("\"", "\\\"") + "\"}";
    HttpRequest.Builder request = HttpRequest.newBuilder(ENDPOINT)
        .header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString(body));
    if (token != null) {
      request.header("Authorization", "Bearer " + token);
    }
    HttpResponse<String> answer = HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() != 200 || !answer.body().contains(expected)) {
      throw new IllegalStateException(answer.statusCode() + " " + answer.body());
    }
    return answer.body();
  }

  private static String value(String name, String json) {
    Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]+)\"").matcher(json);
    if (!found.find()) {
      throw new IllegalStateException("There is no " + name + " in " + json);
    }
    return found.group(1);
  }
}
