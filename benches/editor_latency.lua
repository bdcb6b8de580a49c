-- What a person who types in a real Neovim (0.12 or newer) waits for: from a key to its echo, and to new ghost text.
--
--     cargo build --release
--     nvim --clean -l benches/editor_latency.lua target/release/lacuna [CASES]
--
-- Held-out lines of code are typed, with the shipped model: eight keys of each while the answer to every key is waited
-- for, as someone who reads what is offered; the rest at a typist's pace, so that keys come while the model works. A key
-- is timed from its leaving to the screen that shows it, ghost text to the screen that shows that: both as a front end
-- of its own receives them (tests/neovim/screen.lua). Neovim waits 200 ms after a key before it asks.
-- Prints milliseconds beside their targets, and writes them into benches/results/editors.json.
local root = vim.fs.dirname(vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, 'S').source:sub(2))))
package.path = root .. '/tests/neovim/?.lua;' .. package.path
vim.env.LACUNA_NVIM = vim.env.LACUNA_NVIM or vim.v.progpath
vim.env.LACUNA_TEST_FOLDER = vim.fn.tempname()
vim.env.LACUNA_TEST_SERVER = vim.json.encode({ vim.fs.abspath(assert(arg[1], 'which lacuna?')), 'lsp' })
local Editor = require('editor')
local Screen = require('screen')

local CASES = tonumber(arg[2]) or 30
local KEYS_READ, KEYS_TYPED = 8, 24
-- Milliseconds between keys at a typist's pace. Neovim asks 200 ms after a key: some come right behind the request.
local PACE_MS = { 70, 50, 215, 20, 90, 225, 30, 60, 205, 10 }
local GHOST_P50_MAX_MS, ECHO_MAX_MS = 400, 50
local COLUMNS_MAX = 110

-- Inside the editor, since the last key: when a request left and its answer came.
local WATCH = [[
  local space = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
  local at = {}
  _G.watch = function()
    return vim.tbl_extend('force', at, { ghost = #vim.api.nvim_buf_get_extmarks(0, space, 0, -1, {}) > 0 })
  end
  vim.on_key(function(_, typed) if typed ~= '' then at = {} end end)
  vim.api.nvim_create_autocmd('LspRequest', {
    callback = function(event)
      local request = event.data.request
      if request.method ~= 'textDocument/inlineCompletion' then return end
      at[request.type] = vim.uv.hrtime()
      -- The handler of the answer is scheduled, too.
      vim.schedule(vim.schedule_wrap(function() at.settled = request.type == 'complete' end))
    end,
  })
]]

local waiting, echoes = {}, { read = {}, typed = {} } -- keys that are not on the screen yet; times of those that are
local drawn = {} -- since the last key: the screens with ghost text on them

local editor = Editor.open('typed.rs', '', { candidates = 1 })
editor:lua("vim.api.nvim_set_hl(0, 'ComplHint', { fg = '#808080' })") -- a look of its own, not that of another group
editor:lua(WATCH)
local screen = Screen.attach(editor, function(screen, now)
  local key = waiting[1]
  while key do
    local cell = screen.grid[key.row][key.column]
    if cell[1] ~= key.text or screen:is_drawn_as(cell, 'ComplHint') then break end
    table.insert(echoes[key.mode], now - key.sent)
    table.remove(waiting, 1)
    key = waiting[1]
  end
  if not key and screen:text_in('ComplHint') ~= '' then table.insert(drawn, now) end
end)

-- Puts a case into the buffer, the caret where its hole begins; gives the caret's place on the screen.
local function load_case(case)
  local before = vim.split(case.prompt, '\n', { plain = true })
  local text = case.prompt .. (case.suffix:sub(1, 1) == '\n' and '' or '\n') .. case.suffix
  editor:keys('<Esc>')
  editor:lua('vim.api.nvim_buf_set_lines(0, 0, -1, true, ...)', vim.split(text, '\n', { plain = true }))
  editor:lua('vim.api.nvim_win_set_cursor(0, { ... })', #before, 0)
  editor:keys('zzA')
  editor:wait('the first answer', function() return editor:lua('return watch()').settled end)
  local at = editor:lua('return vim.fn.screenpos(0, vim.fn.line("."), vim.fn.col("."))')
  editor:wait('the caret', function() return screen.cursor[1] == at.row - 1 and screen.cursor[2] == at.col - 1 end)
  return { row = at.row - 1, column = at.col - 1 }
end

local function send(mode, character, at)
  drawn = {}
  table.insert(waiting, { mode = mode, text = character, row = at.row, column = at.column, sent = vim.uv.hrtime() })
  screen:send('nvim_input', character == '<' and '<lt>' or character)
  at.column = at.column + 1
  return waiting[#waiting].sent
end

local ghosts = { inferred = {}, kept = {}, nothing = {} }

-- Types a key; when its ghost text is drawn, files how long that took.
local function read(character, at)
  local before = editor:counters().inferencesStarted
  local sent = send('read', character, at)
  local watched = editor:wait('an answer', function()
    local it = editor:lua('return watch()')
    return it.settled and it
  end)
  screen:sync()
  assert(#waiting == 0, 'a key without its echo')
  -- Text that is kept stands from the first screen on; what stands before an answer belongs to the text before.
  local new = vim.iter(drawn):find(function(time) return time > watched.complete end)
  local kind = screen:text_in('ComplHint') == '' and 'nothing'
    or new and editor:counters().inferencesStarted > before and 'inferred' or 'kept'
  local shown = kind == 'nothing' and watched.complete or kind == 'inferred' and new or drawn[1]
  table.insert(ghosts[kind], { key = shown - sent, request = math.max(shown, watched.complete) - watched.pending })
end

-- Types on without waiting for anything.
local function type_on(text, at)
  for index = 1, #text do
    send('typed', text:sub(index, index), at)
    vim.wait(PACE_MS[index % #PACE_MS + 1], function() end, 1)
  end
  editor:wait('the echo of the last key', function() return #waiting == 0 end)
end

local left = CASES
for line in io.lines(root .. '/fixtures/infill/heldout.jsonl') do
  local case = vim.json.decode(line)
  local text = vim.trim(case.canonical_solution)
  local is_ascii = not (text .. case.prompt):find('[\128-\255\t]')
  local width = #case.prompt:match('[^\n]*$') + #text
  if left > 0 and case.kind == 'line' and case.language == 'rust' and is_ascii and width < COLUMNS_MAX then
    left = left - 1
    local at = load_case(case)
    for character in vim.gsplit(text:sub(1, KEYS_READ), '') do read(character, at) end
    type_on(text:sub(KEYS_READ + 1, KEYS_READ + KEYS_TYPED), at)
  end
end
local asked = editor:counters()
editor:keys('<Esc>:qa!<CR>')
editor:wait_for_end()

local function ms(times)
  times = vim.tbl_map(function(time) return time / 1e6 end, times)
  table.sort(times)
  local function at(share) return tonumber(('%.1f'):format(times[math.max(1, math.ceil(#times * share))] or -1)) end
  return { keys = #times, p50_ms = at(0.5), p95_ms = at(0.95), longest_ms = at(1) }
end
local function of(kind, from) return ms(vim.tbl_map(function(it) return it[from] end, ghosts[kind])) end

local figures = {
  { 'key to new ghost text', of('inferred', 'key'), { p50_ms = GHOST_P50_MAX_MS } },
  { 'request to new ghost text', of('inferred', 'request') },
  { 'key to kept ghost text', of('kept', 'key') },
  { 'request to an answer without any', of('nothing', 'request') },
  { 'key to its echo, reading', ms(echoes.read), { longest_ms = ECHO_MAX_MS } },
  { 'key to its echo, typing on', ms(echoes.typed), { longest_ms = ECHO_MAX_MS } },
}
print(('%-36s %5s %8s %8s %8s  %s'):format('', 'keys', 'p50 ms', 'p95 ms', 'longest', 'target'))
local measured = {}
for _, figure in ipairs(figures) do
  local name, value, target = unpack(figure)
  value.what = name
  local said = ''
  for quantity, limit in pairs(target or {}) do
    value.target, value.met = { [quantity] = limit }, value.keys > 0 and value[quantity] <= limit
    said = ('%s at most %d: %s'):format(quantity, limit, value.met and 'met' or 'MISSED')
  end
  print(('%-36s %5d %8.1f %8.1f %8.1f  %s'):format(name, value.keys, value.p50_ms, value.p95_ms, value.longest_ms, said))
  table.insert(measured, value)
end
print(('inferences started: %d, of them ended early: %d'):format(asked.inferencesStarted, asked.inferencesCancelled))

local path = root .. '/benches/results/editors.json'
local all = vim.fn.filereadable(path) == 1 and vim.json.decode(table.concat(vim.fn.readfile(path), '\n')) or {}
local processor = io.open('/proc/cpuinfo'):read('a'):match('model name%s*: ([^\n]*)')
all.neovim = {
  version = tostring(vim.version()), processor = processor, cores = vim.uv.available_parallelism(),
  load = tonumber(('%.2f'):format((vim.uv.loadavg()))), cases = CASES - left, figures = measured,
}
vim.fn.writefile(vim.split(vim.json.encode(all, { indent = '  ', sort_keys = true }), '\n'), path)
