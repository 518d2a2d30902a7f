// The demo page of minidoor: a phone that signs in for real, and a log of what it sent and got. Nothing is stored: a
// reload forgets the tokens. Nothing is fetched from other sites: avatars are drawn here.

// Every text, in English and Chinese. {name} is filled in by t.
const TEXT = {
  title: ["Sign in from a mini program", "小程序登录演示"],
  lede: [
    "The phone talks to this server just as a WeChat mini program does. Only WeChat itself is a stand-in.",
    "这部手机与本服务器的通信和真实的微信小程序完全一样，只有微信一侧是模拟的。",
  ],
  language: ["中文", "English"],
  phone: ["The phone", "手机"],
  appName: ["Demo shop", "演示小店"],
  welcomeTitle: ["Welcome", "欢迎"],
  welcomeText: ["One tap, no password.", "一键登录，无需密码。"],
  signIn: ["Sign in with WeChat", "微信一键登录"],
  welcomeHint: ["You will be asked for a nickname only after this.", "登录之后才会请你填写昵称。"],
  profileTitle: ["Your profile", "完善资料"],
  profileText: [
    "WeChat tells nobody the nickname and avatar: the user chooses both.",
    "微信不再提供昵称和头像，由用户自己填写和选择。",
  ],
  avatar: ["Avatar", "头像"],
  file: ["or a picture of yours", "或上传一张图片"],
  panda: ["Panda", "熊猫"],
  fox: ["Fox", "狐狸"],
  whale: ["Whale", "鲸鱼"],
  cat: ["Cat", "猫"],
  nickname: ["Nickname", "昵称"],
  nicknameHint: ["1 to 100 characters, any script.", "1 到 100 个字符，不限语言。"],
  save: ["Save", "保存"],
  later: ["Later", "以后再说"],
  reload: ["Refresh account", "刷新账号"],
  edit: ["Edit profile", "修改资料"],
  refresh: ["Refresh token", "刷新令牌"],
  signOut: ["Sign out", "退出登录"],
  holder: ["{user}’s phone", "{user} 的手机"],
  switchUser: ["Another WeChat user", "换一个微信用户"],

  noName: ["(no nickname yet)", "（还没有昵称）"],
  name: ["Name", "用户名"],
  id: ["Id", "ID"],
  openId: ["OpenID", "OpenID"],
  unionId: ["UnionID", "UnionID"],
  organization: ["Organization", "组织"],
  createdTime: ["Created", "创建时间"],
  updatedTime: ["Updated", "更新时间"],
  lastSigninTime: ["Last sign-in", "最近登录"],
  tokenUntil: ["Token until", "令牌有效期至"],

  working: ["Working…", "请稍候…"],
  created: ["Signed in: a new user was created.", "登录成功：已创建新用户。"],
  found: ["Signed in: welcome back.", "登录成功：欢迎回来。"],
  saved: ["The profile is saved.", "资料已保存。"],
  reloaded: ["The account is up to date.", "账号已刷新。"],
  refreshed: ["The token is refreshed.", "令牌已刷新。"],
  signedOut: ["Signed out.", "已退出登录。"],
  switched: ["Now it is {user}’s phone.", "现在是 {user} 的手机。"],
  noAnswer: ["The server does not answer.", "服务器没有响应。"],
  failed: ["The server says: {why}", "服务器返回：{why}"],
  ended: ["This sign-in has ended: {why}", "登录已失效：{why}"],
  retry: ["Try again in {seconds} s.", "请在 {seconds} 秒后重试。"],

  logTitle: ["What happened", "发生了什么"],
  logText: [
    "Every request of the phone and its answer. Tokens are cut after 12 characters.",
    "手机发出的每个请求和得到的响应。令牌只显示前 12 个字符。",
  ],
  logEmpty: ["Nothing yet. Tap “Sign in with WeChat”.", "还没有请求。请点击“微信一键登录”。"],
  sent: ["Sent", "发送"],
  got: ["Got · {ms} ms", "收到 · {ms} 毫秒"],
  omitted: ["{count} empty fields are left out", "省略了 {count} 个空字段"],
  more: ["… and {count} more", "…… 还有 {count} 项"],
  tokenDecoded: ["The access token, decoded", "解码后的访问令牌"],
  headerAndClaims: ["Header and claims", "头部和声明"],

  code: ["wx.login: a code from WeChat", "wx.login：向微信获取 code"],
  codeNote: [
    "On a real phone WeChat gives the code. It works once, for 5 minutes, and names nobody by itself.",
    "在真实手机上，code 由微信给出：只能用一次，5 分钟内有效，本身不包含任何用户信息。",
  ],
  token: ["Sign in: the code becomes a token", "登录：用 code 换取令牌"],
  tokenNote1: [
    "The server swaps the code at WeChat for OpenID and SessionKey. The SessionKey stays on the server, encrypted.",
    "服务器用 code 向微信换取 OpenID 和 SessionKey。SessionKey 加密保存，不会离开服务器。",
  ],
  tokenNote2: [
    "It finds the user with this OpenID, or creates one.",
    "服务器按 OpenID 查找用户，没有则创建。",
  ],
  tokenNote3: ["It signs a token for this user.", "服务器为该用户签发令牌。"],
  account: ["Who am I: the account", "我是谁：读取账号"],
  accountNote: [
    "The server checks the token’s signature and that it was not ended, and reads the user and the organization.",
    "服务器校验令牌的签名和是否仍然有效，再读取用户和组织。",
  ],
  profile: ["The profile: nickname and avatar", "资料：昵称和头像"],
  profileNote: [
    "The token says whose profile it is. Name, id and OpenID stay as they are.",
    "由令牌决定修改谁的资料。用户名、ID 和 OpenID 保持不变。",
  ],
  renewal: ["Refresh: a new pair of tokens", "刷新：换取一对新令牌"],
  renewalNote: [
    "The old refresh token is spent. Whoever uses it again ends all tokens of this sign-in.",
    "旧的刷新令牌随即作废；若再次被使用，本次登录的所有令牌都会失效。",
  ],
  logout: ["Sign out: the tokens end", "退出：令牌失效"],
  logoutNote: [
    "The access token and its refresh token end at once. The user and the profile stay.",
    "访问令牌和刷新令牌立即失效，用户和资料保留。",
  ],

  kid: ["the key that signed; /.well-known/jwks has its public half", "签名所用的密钥；公钥见 /.well-known/jwks"],
  sub: ["the user’s id; it never changes: the key for your own tables", "用户 ID，永不改变：可用作自己数据表的主键"],
  nameClaim: ["the user’s name: made from the OpenID, never from the nickname", "用户名：由 OpenID 生成，与昵称无关"],
  aud: ["the client id it was made for; a server accepts only its own", "令牌签发给哪个 client_id；服务端只应接受自己的"],
  iss: ["who signed it", "签发者"],
  exp: ["valid until", "有效期至"],
};

const USERS = ["alice", "bob", "carol", "dave"];
const AVATARS = ["panda", "fox", "whale", "cat"];
const FORM = "application/x-www-form-urlencoded";

const state = {
  language: 0, // index into the pairs of TEXT
  user: USERS[0],
  view: "welcome",
  clientId: "",
  tokens: null,
  account: null,
  organization: null,
  status: null, // [key of TEXT, its values]
  error: null, // CallError
  log: [],
};

const $ = (id) => document.getElementById(id);

function t(key, values = {}) {
  return TEXT[key][state.language].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// element makes <tag> with attributes and children; a text child is never read as HTML.
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// ---- Calls ----

// CallError is an answer that is an error, in OAuth's shape or in Casdoor's. Its status is 0 when there was no answer.
class CallError extends Error {
  constructor(status, reply, retryAfter) {
    super(reply?.error_description || reply?.msg || reply?.error || `HTTP ${status}`);
    this.status = status;
    this.retryAfter = retryAfter; // seconds; 0 when a new try is not invited
    // Whether it says that the tokens sent are of no use any more. Casdoor's calls say so with HTTP 200.
    this.ended = status === 401 || status === 200 || reply?.error === "invalid_grant";
  }
}

// call sends one request and returns the decoded answer. With a step, the log gets both. Throws a CallError.
async function call(step, method, path, { form, json, upload, bearer } = {}) {
  const headers = {};
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  if (form) headers["Content-Type"] = FORM;
  if (json) headers["Content-Type"] = "application/json";
  const entry = { step, method, path, headers, form: form ?? uploadText(upload), json, open: true };
  const started = performance.now();
  try {
    const body = upload ? uploadForm(upload) : form ? new URLSearchParams(form).toString() : json && JSON.stringify(json);
    const answer = await fetch(path, { method, headers, body, credentials: "omit", cache: "no-store" });
    Object.assign(entry, { status: answer.status, statusText: answer.statusText });
    entry.reply = await answer.json().catch(() => null);
    entry.failed = !answer.ok || !entry.reply || entry.reply.status === "error";
    if (entry.failed) throw new CallError(answer.status, entry.reply, Number(answer.headers.get("Retry-After")));
    return entry.reply;
  } catch (err) {
    entry.failed = true;
    throw err instanceof CallError ? err : new CallError(0);
  } finally {
    entry.ms = Math.round(performance.now() - started);
    if (step) record(entry);
  }
}

// uploadForm is the form that wx.uploadFile sends; the browser sets its Content-Type.
function uploadForm({ file, fields }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("avatar", file);
  return form;
}

const uploadText = (upload) => upload && { ...upload.fields, avatar: upload.file.name };

function record(entry) {
  state.log.push(entry);
  $("log").append(entryView(entry, state.log.length));
  $("log-empty").hidden = true;
}

const bearer = () => state.tokens.access_token;

async function signIn() {
  state.clientId ||= (await call(null, "GET", "/demo/config")).clientId; // a mini program has it built in
  const { code } = await call("code", "POST", "/demo/code", { form: { user: state.user } });
  state.tokens = await call("token", "POST", "/api/login/oauth/access_token", {
    form: { tag: "wechat_miniprogram", client_id: state.clientId, code },
  });
  await readAccount();
  const isNew = state.tokens.new_user;
  show(isNew ? "profile" : "account", isNew ? "created" : "found");
}

async function readAccount() {
  const reply = await call("account", "GET", "/api/get-account", { bearer: bearer() });
  state.account = reply.data;
  state.organization = reply.data2;
}

async function reload() {
  await readAccount();
  show("account", "reloaded");
}

async function saveProfile() {
  const [file] = $("file").files;
  if (file) {
    const upload = { file, fields: { nickName: $("nickname").value } };
    const reply = await call("profile", "POST", "/api/mini-program/avatar", { upload, bearer: bearer() });
    state.account = reply.data;
    show("account", "saved");
    return;
  }
  const chosen = document.querySelector("#avatars input:checked");
  const json = { nickName: $("nickname").value };
  if (chosen) json.avatarUrl = avatarURL(chosen.value);
  const reply = await call("profile", "POST", "/api/mini-program/profile", { json, bearer: bearer() });
  state.account = reply.data;
  show("account", "saved");
}

async function refresh() {
  state.tokens = await call("renewal", "POST", "/api/login/oauth/refresh_token", {
    form: { grant_type: "refresh_token", refresh_token: state.tokens.refresh_token, client_id: state.clientId },
  });
  show("account", "refreshed");
}

async function signOut() {
  await call("logout", "POST", "/api/logout", { bearer: bearer() });
  forget("signedOut");
}

async function switchUser() {
  state.user = USERS[(USERS.indexOf(state.user) + 1) % USERS.length];
  forget("switched", { user: state.user });
}

// forget drops the tokens, as a phone does at sign-out.
function forget(status, values) {
  Object.assign(state, { tokens: null, account: null, organization: null });
  show("welcome", status, values);
}

// run does an action, one at a time, and shows what failed. A sign-in that the server no longer accepts leads back to
// the start.
async function run(action) {
  if ($("phone").ariaBusy === "true") return;
  $("phone").ariaBusy = "true";
  collapseLog();
  const before = state.log.length;
  Object.assign(state, { error: null, status: ["working"] });
  renderMessages();
  try {
    await action();
  } catch (err) {
    if (!(err instanceof CallError)) throw err;
    err.ended &&= state.tokens !== null;
    Object.assign(state, { error: err, status: null });
    if (err.ended) forget();
    renderMessages();
  } finally {
    $("phone").ariaBusy = "false";
    if (matchMedia("(min-width: 62rem)").matches) $("log").children[before]?.scrollIntoView({ block: "nearest" });
  }
}

// ---- The phone ----

function avatarURL(name) {
  return `https://example.com/avatars/${name}.png`;
}

// picture draws a known avatar, and a letter for any other.
function picture(url, name) {
  const known = AVATARS.find((avatar) => url === avatarURL(avatar));
  if (url?.startsWith(`${location.origin}/avatars/`)) return element("img", { src: url, alt: "" });
  if (!known) return [...(name || "?")][0].toUpperCase();
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  const use = document.createElementNS(ns, "use");
  use.setAttribute("href", `#avatar-${known}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// show goes to a screen of the phone and says status there. The focus goes to the new screen's title.
function show(view, status, values) {
  const moved = view !== state.view;
  Object.assign(state, { view, status: status ? [status, values] : null });
  if (moved && view === "profile") fillProfile();
  render();
  if (moved) document.querySelector(`[data-screen="${view}"] h3`).focus({ preventScroll: true });
}

function fillProfile() {
  $("file").value = "";
  $("nickname").value = state.account?.displayName ?? "";
  for (const input of document.querySelectorAll("#avatars input")) {
    input.checked = state.account?.avatar === avatarURL(input.value);
  }
}

function render() {
  document.documentElement.lang = state.language ? "zh-CN" : "en";
  document.title = `${t("title")} · minidoor`;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  $("lang").lang = state.language ? "en" : "zh-CN";
  $("holder").textContent = t("holder", { user: state.user });
  $("phone").dataset.view = state.view;
  for (const screen of document.querySelectorAll("[data-screen]")) screen.hidden = screen.dataset.screen !== state.view;
  renderAccount();
  renderMessages();
}

function renderAccount() {
  const user = state.account;
  if (!user) return;
  $("picture").replaceChildren(picture(user.avatar, user.displayName));
  $("display-name").textContent = user.displayName || t("noName");
  const rows = {
    avatar: user.avatar,
    name: user.name,
    id: user.id,
    openId: user.properties?.wechatOpenId || user.wechat,
    unionId: user.properties?.wechatUnionId,
    organization: state.organization?.displayName || user.owner,
    createdTime: localTime(user.createdTime),
    updatedTime: localTime(user.updatedTime),
    lastSigninTime: localTime(user.lastSigninTime),
    tokenUntil: localTime(decodeToken(state.tokens?.access_token)?.claims.exp * 1000),
  };
  const shown = Object.entries(rows).filter(([, value]) => value);
  $("facts").replaceChildren(...shown.map(([key, value]) =>
    element("div", { "data-field": key }, element("dt", {}, t(key)), element("dd", {}, value))));
}

function renderMessages() {
  $("status").textContent = state.status ? t(...state.status) : "";
  $("error").textContent = state.error ? errorText(state.error) : "";
  const invalid = state.view === "profile" && state.error?.status === 400;
  $("nickname").setAttribute("aria-invalid", String(invalid));
}

function errorText(err) {
  if (err.status === 0) return t("noAnswer");
  const said = t(err.ended ? "ended" : "failed", { why: err.message });
  return err.retryAfter ? `${said} ${t("retry", { seconds: err.retryAfter })}` : said;
}

// localTime formats a time (RFC 3339 or milliseconds) for the reader; "" when there is none.
function localTime(time) {
  const date = new Date(time || NaN);
  if (Number.isNaN(date.getTime())) return "";
  return date.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });
}

// ---- The log ----

const NOTES = {
  code: ["codeNote"], token: ["tokenNote1", "tokenNote2", "tokenNote3"],
  account: ["accountNote"], profile: ["profileNote"], renewal: ["renewalNote"], logout: ["logoutNote"],
};

function collapseLog() {
  for (const details of document.querySelectorAll("#log > li > details")) details.open = false;
}

function renderLog() {
  $("log").replaceChildren(...state.log.map((entry, index) => entryView(entry, index + 1)));
}

function entryView(entry, number) {
  const status = `${entry.failed ? "✕ " : ""}${entry.status ?? ""}`;
  const details = element("details", { class: "entry" },
    element("summary", {},
      element("span", { class: "number" }, String(number)),
      element("strong", {}, t(entry.step)),
      element("span", { class: entry.failed ? "code bad" : "code" }, status),
      element("span", { class: "path" }, `${entry.method} ${entry.path}`)),
    element("div", { class: "body" },
      element("ul", { class: "notes" }, ...NOTES[entry.step].map((key) => element("li", {}, t(key)))),
      element("div", { class: "exchange" }, block(t("sent"), requestText(entry)), answerBlock(entry)),
      ...tokenView(entry.reply?.access_token)));
  details.open = entry.open;
  details.addEventListener("toggle", () => { entry.open = details.open; });
  return element("li", { "data-step": entry.step }, details);
}

// block is a captioned text that scrolls, also by keyboard, where it is long.
function block(caption, text) {
  return element("div", {},
    element("div", { class: "caption", "aria-hidden": "true" }, caption),
    element("pre", { tabindex: "0", role: "group", "aria-label": caption }, text));
}

function requestText({ method, path, headers, form, json }) {
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value.replace(/^Bearer (.*)$/, bearerText)}`);
  const field = ([name, value]) => `${name}=${shorten(name, encodeURIComponent(value))}`;
  const body = json ? pretty(json) : Object.entries(form ?? {}).map(field).join("\n&");
  return [`${method} ${path}`, ...head, ...(body ? ["", body] : [])].join("\n");
}

const bearerText = (_, token) => `Bearer ${cut(token)}`;

function answerBlock(entry) {
  const head = entry.status ? `${entry.status} ${entry.statusText}`.trim() : t("noAnswer");
  const body = entry.reply ? `\n\n${compactText(entry.reply)}` : "";
  return block(t("got", { ms: entry.ms }), head + body);
}

const cut = (token) => `${token.slice(0, 12)}…`;

// shorten cuts value when the field's name or its look says that it is a token.
function shorten(name, value) {
  if (typeof value !== "string" || value.length <= 12) return value;
  return /token$/i.test(name) || /^eyJ[\w-]+\./.test(value) ? cut(value) : value;
}

const pretty = (value) => JSON.stringify(value, shorten, 2);

// compactText is reply as JSON without the empty fields of the objects inside it and without the tails of long lists: a
// Casdoor user has 250 fields. The fields of reply itself stay.
function compactText(reply) {
  let omitted = 0;
  const walk = (value) => {
    if (Array.isArray(value)) return shortList(value.map(walk));
    if (value === null || typeof value !== "object") return value;
    const kept = Object.entries(value).filter(([, field]) => !isEmpty(field));
    omitted += Object.keys(value).length - kept.length;
    return Object.fromEntries(kept.map(([name, field]) => [name, walk(field)]));
  };
  const text = pretty(Object.fromEntries(Object.entries(reply).map(([name, field]) => [name, walk(field)])));
  return omitted ? `${text}\n\n(${t("omitted", { count: omitted })})` : text;
}

function isEmpty(value) {
  return !value || (typeof value === "object" && Object.keys(value).length === 0);
}

function shortList(list) {
  return list.length > 3 ? [...list.slice(0, 2), t("more", { count: list.length - 2 })] : list;
}

// ---- The token ----

// decodeToken returns the header and claims of a JWT, and null for anything else. It does not check the signature: that
// is for servers.
function decodeToken(token) {
  try {
    const [header, claims] = token.split(".", 2).map((part) => {
      const bytes = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
      return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0))));
    });
    return { header, claims };
  } catch {
    return null;
  }
}

// tokenView explains an access token; it is empty for one that is no JWT.
function tokenView(token) {
  const decoded = decodeToken(token);
  if (!decoded) return [];
  const { header, claims } = decoded;
  const rows = [
    ["sub", claims.sub, t("sub")],
    ["name", claims.name ?? claims.preferred_username, t("nameClaim")],
    ["aud", [claims.aud].flat().join(", "), t("aud")],
    ["iss", claims.iss, t("iss")],
    ["exp", claims.exp, `${t("exp")} ${localTime(claims.exp * 1000)}`],
    ["kid", header.kid, t("kid")],
  ].filter(([, value]) => value);
  const table = element("table", { class: "claims" }, element("tbody", {}, ...rows.map(([name, value, note]) =>
    element("tr", {}, element("th", { scope: "row" }, name),
      element("td", {}, String(value), element("span", {}, note))))));
  return [element("details", { class: "token" }, element("summary", {}, t("tokenDecoded")), table,
    block(t("headerAndClaims"), compactText({ header, claims })))];
}

// ---- Start ----

function avatarChoices() {
  return AVATARS.map((name) => element("label", {},
    element("input", { type: "radio", name: "avatar", value: name }),
    element("span", { class: "picture" }, picture(avatarURL(name))),
    element("span", { class: "unseen", "data-t": name })));
}

function switchLanguage() {
  state.language = 1 - state.language;
  render();
  renderLog();
}

const wanted = new URLSearchParams(location.search).get("lang") ?? navigator.language;
state.language = wanted.toLowerCase().startsWith("zh") ? 1 : 0;
$("avatars").append(...avatarChoices());

const actions = { signin: signIn, reload, refresh, signout: signOut, "switch-user": switchUser };
for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", () => run(action));
$("edit").addEventListener("click", () => show("profile"));
$("later").addEventListener("click", () => show("account"));
$("lang").addEventListener("click", switchLanguage);
document.forms[0].addEventListener("submit", (event) => {
  event.preventDefault();
  run(saveProfile);
});
render();
