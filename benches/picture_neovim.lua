-- Records a fill in a real Neovim (0.12 or newer), the canvas condensing, and writes it as an animated SVG:
--
--     nvim --clean -l benches/picture_neovim.lua target/release/lacuna OUT.svg
--
-- The plugin, the server and the shipped model are the real ones, the keys too. Every screen that Neovim draws is a frame,
-- as a front end of its own receives it; a fill takes about a tenth of a second, so each is held for as long as a person
-- needs to see it: the pace is not the program's, the texts are. The first of
-- benches/picture_cases.json is taken whose answer is the one
-- known to be right and that condenses over several screens, before all others one whose canvas ends as that answer: several
-- lengths condense side by side, and shown is the one that seemed likeliest. Without any, nothing is written and it fails.
local root = vim.fs.dirname(vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, 'S').source:sub(2))))
package.path = root .. '/tests/neovim/?.lua;' .. root .. '/benches/?.lua;' .. package.path
local server, out = assert(arg[1], 'which lacuna?'), assert(arg[2], 'which file is written?')
vim.env.LACUNA_NVIM = vim.env.LACUNA_NVIM or vim.v.progpath
vim.env.LACUNA_TEST_FOLDER = vim.fn.tempname()
vim.env.LACUNA_TEST_SERVER = vim.json.encode({ 'env', '--', vim.fs.abspath(server), 'lsp' })
local Editor, Screen, svg = require('editor'), require('screen'), require('svg')

-- Files of fixtures/text, what is right in place of their marker, and, where the hole is elsewhere, what stands there.
local CASES = vim.json.decode(table.concat(vim.fn.readfile(root .. '/benches/picture_cases.json')))
local MARKER, CANVASES_MIN, LINES = '‹›', 3, 20
local LOOK = [[
  vim.o.number, vim.o.laststatus, vim.o.showmode, vim.o.ruler, vim.o.cmdheight = true, 2, false, false, 1
  vim.o.statusline = " %t%=%{v:lua.require'lacuna'.statusline()} "
  vim.api.nvim_set_hl(0, 'LacunaNoise', { fg = '#7a7f8c', italic = true }) -- colours of their own tell them apart
  vim.api.nvim_set_hl(0, 'LacunaAccepted', { fg = '#e5c07b' })
  vim.o.messagesopt = 'wait:0,history:500' -- no message asks for a key
  vim.cmd('syntax on | normal! zz')
]]

-- Replaces the first occurrence of a literal text.
local function replaced(text, what, by)
  local from, to = assert(text:find(what, 1, true))
  return text:sub(1, from - 1) .. by .. text:sub(to + 1)
end

-- Fills the hole of a case; gives the screens that were drawn meanwhile, and whether what is there then is right.
local function record(case)
  local right = table.concat(vim.fn.readfile(root .. '/fixtures/text/' .. case.file), '\n')
  right = replaced(right, MARKER, case.marker)
  local text = replaced(right, case.hole or case.marker, MARKER)
  local setup = { setup = { frames = true, settings = { invokedPreset = 'thorough' } } }
  local editor = Editor.open(case.file, text, setup, 'plugin_user.lua')
  editor:insert_behind(MARKER:sub(1, 3))
  editor:keys('<Esc>')
  editor:lua(LOOK)
  local screens, is_over = {}, false
  local screen = Screen.attach(editor, function(screen)
    local snapshot = screen:snapshot()
    snapshot.canvas = screen:text_in('LacunaNoise', 'LacunaAccepted'):gsub(MARKER, '')
    if not is_over and not vim.deep_equal(snapshot, screens[#screens]) then table.insert(screens, snapshot) end
  end, { 76, LINES })
  screen:sync()
  for key in (':Lacuna fill'):gmatch('.') do
    editor:keys(key)
    screen:sync()
  end
  local before = editor:counters().inferencesFinished
  editor:keys('<CR>')
  editor:wait('the end', function()
    return editor:counters().inferencesFinished > before and editor:lua('return vim.g.lacuna_status.state') == 'ready'
  end)
  vim.wait(500, function() return not editor:text():find(MARKER, 1, true) end) -- where nothing fits, it stays
  screen:sync()
  local filled = editor:text()
  is_over = true
  editor:keys('<Esc>:qa!<CR>')
  editor:wait_for_end()
  return screens, filled == right
end

-- What the canvas said, each time that it said something else.
local function canvases(screens)
  local said = {}
  for _, screen in ipairs(screens) do
    if screen.canvas ~= '' and screen.canvas ~= said[#said] then table.insert(said, screen.canvas) end
  end
  return said
end

local best, against = nil, {}
for _, case in ipairs(CASES) do
  local answer = case.hole or case.marker
  local screens, is_right = record(case)
  local said = canvases(screens)
  table.insert(against, ('%s: %s: %s'):format(case.file, is_right and 'right' or 'not ' .. answer, table.concat(said, ' | ')))
  if is_right and #said >= CANVASES_MIN then
    local found = { screens = screens, answer = answer, of = against[#against], is_whole = said[#said] == answer }
    if not best or found.is_whole and not best.is_whole then best = found end
  end
end
if not best then error('no case is worth a picture:\n' .. table.concat(against, '\n')) end
svg.write(out, best.screens, ('A hole in Neovim condenses into %s'):format(best.answer))
print(('%s: %s'):format(out, best.of))
