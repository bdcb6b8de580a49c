-- Time from a key to ghost text on the screen of a real Neovim (0.12 or newer), while held-out lines of code are typed:
--
--     cargo build --release
--     nvim --clean -l benches/editor_latency.lua target/release/lacuna [CASES]
--
-- After every key it waits for the answer, as someone who reads what is offered. Neovim itself waits 200 ms after a key
-- before it asks; the time from the request leaves that out. Prints p50 and p95 in milliseconds.
local root = vim.fs.dirname(vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, 'S').source:sub(2))))
package.path = root .. '/tests/neovim/?.lua;' .. package.path
vim.env.LACUNA_NVIM = vim.env.LACUNA_NVIM or vim.v.progpath
vim.env.LACUNA_TEST_FOLDER = vim.fn.tempname()
vim.env.LACUNA_TEST_SERVER = vim.json.encode({ vim.fs.abspath(assert(arg[1], 'which lacuna?')), 'lsp' })
local Editor = require('editor')

local CASES = tonumber(arg[2]) or 40
local KEYS_PER_CASE = 8

-- Inside the editor: when a key came, a request left, its answer came, and ghost text was drawn.
local WATCH = [[
  local space = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
  local at = {}
  _G.watch = function()
    local marks = vim.api.nvim_buf_get_extmarks(0, space, 0, -1, {})
    return vim.tbl_extend('force', at, { ghost = #marks > 0 })
  end
  vim.on_key(function(_, typed)
    if typed ~= '' then
      at = { key = vim.uv.hrtime() }
    end
  end)
  vim.api.nvim_create_autocmd('LspRequest', {
    callback = function(event)
      local request = event.data.request
      if request.method ~= 'textDocument/inlineCompletion' then
        return
      end
      at[request.type] = vim.uv.hrtime()
      -- The handler of the answer is scheduled, too.
      vim.schedule(vim.schedule_wrap(function()
        at.settled = request.type == 'complete'
      end))
    end,
  })
  local seen = false
  vim.api.nvim_set_decoration_provider(vim.api.nvim_create_namespace('watch'), {
    on_win = function(_, _, buffer)
      seen = #vim.api.nvim_buf_get_extmarks(buffer, space, 0, -1, {}) > 0
    end,
    on_end = function()
      local now = vim.uv.hrtime()
      if seen and at.key then
        at.first = at.first or now
        at.drawn = at.drawn or at.complete and now
      end
      seen = false
    end,
  })
]]

-- Puts a case into the buffer, the caret where its hole begins.
local function load_case(editor, case)
  local before = vim.split(case.prompt, '\n', { plain = true })
  local text = case.prompt .. (case.suffix:sub(1, 1) == '\n' and '' or '\n') .. case.suffix
  editor:keys('<Esc>')
  editor:lua('vim.api.nvim_buf_set_lines(0, 0, -1, true, ...)', vim.split(text, '\n', { plain = true }))
  editor:lua('vim.api.nvim_win_set_cursor(0, { ... })', #before, 0)
  editor:keys('A')
  editor:wait('the first answer', function()
    return editor:lua('return watch()').settled
  end)
end

local samples = { inferred = {}, kept = {}, nothing = {} }

-- Types a key; when its ghost text is drawn, files how long that took.
local function press(editor, key)
  local before = editor:counters().inferencesStarted
  editor:type(key)
  local at = editor:wait('an answer', function()
    local at = editor:lua('return watch()')
    return at.settled and (at.drawn or not at.ghost) and at
  end)
  local inferred = editor:counters().inferencesStarted > before
  local kind = not at.ghost and 'nothing' or inferred and 'inferred' or 'kept'
  -- Text that is kept stands from the first redraw on; else what stands then belongs to the text before.
  local drawn = kind == 'kept' and at.first or at.drawn or at.complete
  table.insert(samples[kind], { key = drawn - at.key, request = (at.drawn or at.complete) - at.pending })
end

local function quantile(list, from, share)
  local times = vim.tbl_map(function(sample)
    return sample[from] / 1e6
  end, list)
  table.sort(times)
  return times[math.max(1, math.ceil(#times * share))] or 0 / 0
end

local editor = Editor.open('typed.rs', '')
editor:lua(WATCH)
local left = CASES
for line in io.lines(root .. '/fixtures/infill/heldout.jsonl') do
  local case = vim.json.decode(line)
  if left > 0 and case.kind == 'line' and case.language == 'rust' then
    left = left - 1
    load_case(editor, case)
    for character in vim.gsplit(vim.trim(case.canonical_solution):sub(1, KEYS_PER_CASE), '') do
      press(editor, character)
    end
  end
end
print(('%-34s %6s %9s %9s'):format('', 'keys', 'p50 ms', 'p95 ms'))
local function row(name, kind, from)
  local list = samples[kind]
  print(('%-34s %6d %9.1f %9.1f'):format(name, #list, quantile(list, from, 0.5), quantile(list, from, 0.95)))
end
row('key to new ghost text', 'inferred', 'key')
row('request to new ghost text', 'inferred', 'request')
row('key to kept ghost text', 'kept', 'key')
row('request to kept ghost text', 'kept', 'request')
row('request to an empty answer', 'nothing', 'request')
editor:keys('<Esc>:qa!<CR>')
editor:wait_for_end()
