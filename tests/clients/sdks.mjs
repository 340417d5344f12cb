// Calls the proxy with one SDK, unpatched: node sdks.mjs SDK ROOT FREE PAID. Tells what came as one line of JSON.
const [sdk, root, free, paid] = process.argv.slice(2);
const messages = [{ role: "user", content: "hi" }];
const schema = { type: "object", properties: {} };
const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];

async function openai() {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL: `${root}/api/v1`, apiKey: `app:${sdk}` });
  const ask = (more) => client.chat.completions.create({ model: free, messages, ...more });
  return {
    call: async () => (await ask()).choices[0].message.content,
    tool: async () => (await ask({ tools, tool_choice: "required" })).choices[0].message.tool_calls[0].function.name,
    stream: () => ask({ stream: true }),
    abort: (stream) => stream.controller.abort(),
    refused: () => ask({ model: paid }),
  };
}

async function openrouter() {
  const { OpenRouter } = await import("@openrouter/sdk");
  const client = new OpenRouter({ apiKey: `app:${sdk}`, serverURL: `${root}/api/v1` });
  const stop = new AbortController();
  const ask = (more) => client.chat.send({ chatRequest: { model: free, messages, ...more } }, { signal: stop.signal });
  return {
    call: async () => (await ask()).choices[0].message.content,
    tool: async () => (await ask({ tools, toolChoice: "required" })).choices[0].message.toolCalls[0].function.name,
    stream: () => ask({ stream: true }),
    abort: () => stop.abort(),
    refused: () => ask({ model: paid }),
  };
}

async function anthropic() {
  const { default: Anthropic } = await import("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL: `${root}/api`, apiKey: `app:${sdk}` });
  const ask = (more) => client.messages.create({ model: free, max_tokens: 50, messages, ...more });
  const named = [{ name: "weather", input_schema: schema }];
  return {
    call: async () => (await ask()).content[0].text,
    tool: async () => (await ask({ tools: named, tool_choice: { type: "any" } })).content
      .find((block) => block.type === "tool_use").name,
    stream: () => ask({ stream: true }),
    abort: (stream) => stream.controller.abort(),
    refused: () => ask({ model: paid }),
  };
}

const client = await { openai, openrouter, anthropic }[sdk]();
const told = { call: (await client.call()).length > 0, tool: await client.tool(), stream: 0 };
try {
  await client.refused();
} catch (error) {
  told.refused = [error.constructor.name, error.status ?? error.statusCode];
}
for await (const _ of await client.stream()) told.stream += 1;
try {
  const stream = await client.stream(); // the upstream never ends this one
  for await (const _ of stream) {
    client.abort(stream);
    break;
  }
} catch (error) {
  if (!/abort/i.test(`${error.name} ${error.message}`)) throw error;
}
console.log(JSON.stringify(told));
process.exit(0);
