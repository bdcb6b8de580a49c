-- The configuration of a user who does as `editors/README.md` says, and a notebook of what the server tells the editor.
local here = vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2))
local manual = io.open(vim.fs.joinpath(here, '../../editors/README.md')):read('a')
assert(load(assert(manual:match('```lua\n(.-)```'), 'the manual has no Lua')))()

local seen = { progress = {}, status = {}, asked = 0, answered = 0 }
_G.seen = seen

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

vim.api.nvim_create_autocmd('LspRequest', {
  callback = function(event)
    local request = event.data.request
    if request.method == 'textDocument/inlineCompletion' then
      local count = ({ pending = 'asked', complete = 'answered' })[request.type]
      if count then
        seen[count] = seen[count] + 1
      end
    end
  end,
})
vim.api.nvim_create_autocmd('LspProgress', {
  callback = function(event)
    table.insert(seen.progress, event.data.params)
  end,
})

-- What is typed is what the test means: no help with indents.
vim.opt.autoindent = false
vim.cmd('filetype indent off')
