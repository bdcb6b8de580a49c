-- The configuration of a user who does as `editors/README.md` says, without the plugin.
local here = vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2))
local seen = dofile(here .. '/notebook.lua')
local manual = io.open(vim.fs.joinpath(here, '../../editors/README.md')):read('a')
assert(load(assert(manual:match('```lua\n(vim%.lsp%.config.-)```'), 'the manual has no Lua')))()

-- The server under test in place of the installed one.
vim.lsp.config('lacuna', {
  cmd = vim.json.decode(vim.env.LACUNA_TEST_SERVER),
  init_options = vim.json.decode(vim.env.LACUNA_TEST_OPTIONS, { luanil = { object = true } }),
  handlers = {
    ['lacuna/status'] = function(_, params)
      table.insert(seen.status, params)
    end,
  },
})

local function map_action(keys, kind)
  vim.keymap.set({ 'n', 'x' }, keys, function()
    vim.lsp.buf.code_action({ apply = true, context = { only = { kind }, diagnostics = {} } })
  end)
end
map_action('gFf', 'refactor.rewrite.lacuna.fill')
map_action('gFr', 'refactor.rewrite.lacuna.refine')
