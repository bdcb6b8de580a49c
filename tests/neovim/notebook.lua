-- A notebook of what the server tells the editor, for the one who drives it.
local seen = { progress = {}, status = {}, asked = 0, answered = 0 }
_G.seen = seen

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

return seen
