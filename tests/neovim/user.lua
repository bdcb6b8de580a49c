-- The configuration of a user of Neovim 0.12, and a notebook of what the server tells it.
local seen = { progress = {}, status = {}, asked = 0, answered = 0 }
_G.seen = seen

vim.lsp.config('lacuna', {
  cmd = vim.json.decode(vim.env.LACUNA_TEST_SERVER),
  filetypes = { 'rust', 'python' },
  root_markers = { '.git' },
  init_options = vim.json.decode(vim.env.LACUNA_TEST_OPTIONS, { luanil = { object = true } }),
  handlers = {
    ['lacuna/status'] = function(_, params)
      table.insert(seen.status, params)
    end,
  },
})
vim.lsp.enable('lacuna')
vim.lsp.inline_completion.enable(true)

vim.keymap.set('i', '<Tab>', function()
  if not vim.lsp.inline_completion.get() then
    return '<Tab>'
  end
end, { expr = true, desc = 'Accept the ghost text' })
vim.keymap.set('i', '<C-J>', function()
  vim.lsp.inline_completion.select()
end, { desc = 'The next ghost text' })

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
